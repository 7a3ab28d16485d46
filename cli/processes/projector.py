"""The projector process: keeps the read models of every projection group current."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from secaplane.audit.entry_log import EntryLog
from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    READ_MODEL_ERRORS,
    connected_log,
    created_replica,
    following_read_model,
    retrying,
)
from secaplane.cli.processes.health import (
    HealthProbe,
    Served,
    judged,
    lag_remarks,
    quarantine_remarks,
)
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.stopping import background_tasks, not_ready_when_stopping
from secaplane.cli.running import StopRequest
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.position import BEGINNING, Position, written
from secaplane.model.shape import Json
from secaplane.projector import rebuild
from secaplane.projector.groups import RESOURCES, groups
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import LogGap, Projector
from secaplane.projector.sources import Sources
from secaplane.projector.supervisor import ProjectorSupervisor
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.replica import Replica

PROJECTS = Served(reads=True, writes=False)
"""A projector stops where the database does; its own reasons name the log."""


@dataclass
class ProjectorStatus:
    """The state of a projector process, for its readiness and metrics."""

    groups: Sequence[ProjectionGroup]
    waiting: dict[str, str] = field(default_factory=dict)
    """By group: the reason why it has no read model yet."""
    filled: dict[str, rebuild.Filled] = field(default_factory=dict)
    """By group: how far its first read model is, while it is being filled and afterwards."""
    replica: Replica | None = None
    supervisor: ProjectorSupervisor | None = None
    probe: HealthProbe | None = None

    def readiness(self) -> Readiness:
        if self.supervisor is None or self.probe is None:
            return Readiness(False, list(self.waiting.values()), [], self._details)
        running = {group.name: self.supervisor.of(group) for group in self.groups}
        reasons, remarks = judged(PROJECTS, self.probe.outages)
        for name in running:
            reasons += self._reasons(name, running[name])
        refs = {ref for some in running.values() for each in some for ref in each.quarantined}
        details = self._details | {
            "position": written(each.position for each in running[RESOURCES.name]),
            "projectionLag": self.probe.lag,
            "quarantined": len(refs),
            "readModels": sorted(self.supervisor.projectors),
            "groups": {name: _details(some) for name, some in running.items()},
        }
        remarks += [
            *quarantine_remarks(len(refs)),
            *lag_remarks(self.probe.lag, self.probe.stalled_s),
        ]
        return Readiness(not reasons, reasons, remarks, details)

    @property
    def _details(self) -> Json:
        return {"replica": self.replica._asdict() if self.replica else None}

    def _reasons(self, name: str, projectors: Sequence[Projector]) -> list[str]:
        if not projectors:
            return [self.waiting.get(name, f"{name}: not started")]
        reasons = [each.reason for each in projectors if each.reason]
        if not reasons and not all(each.started.is_set() for each in projectors):
            reasons = [f"{name}: not started"]
        return list(dict.fromkeys(reasons))

    def stopped(self, group: ProjectionGroup) -> bool:
        projectors = self.supervisor.of(group) if self.supervisor else ()
        return not projectors or any(each.reason for each in projectors)

    def filled_of(self, group: ProjectionGroup, field_name: Literal["events", "of"]) -> int:
        found = self.filled.get(group.name)
        number: int = getattr(found, field_name) if found else 0
        return number

    def position(self, stream: str) -> Position:
        """Of the group `resources`, whose rows the other processes read."""
        projectors = self.supervisor.of(RESOURCES) if self.supervisor else ()
        return next((each.position for each in projectors if each.stream.name == stream), BEGINNING)


def _details(projectors: Sequence[Projector]) -> Json:
    return {
        "position": written(each.position for each in projectors),
        "quarantined": len({ref for each in projectors for ref in each.quarantined}),
        "standsBy": any(each.stands_by for each in projectors),
    }


async def run(config: Config, announce: Announce, stop: StopRequest) -> None:
    """A transaction that has not been committed when the process ends is projected again by the
    next one, from the checkpoint."""
    metrics, status = Metrics(), ProjectorStatus(groups())
    readiness = not_ready_when_stopping(status.readiness, stop)
    async with (
        monitored(config, readiness, metrics) as monitor,
        connected_log(config) as (client, events, _),
    ):
        sources = Sources(events, EntryLog(client, log_stream=config.nats.stream))
        _watch_filling(metrics, status)
        replica = status.replica = await retrying(
            lambda: created_replica(config),
            *READ_MODEL_ERRORS,
            *tables.DATABASE_UNAVAILABLE,
            awaited="the database",
        )
        await _fill_first(config, sources, RESOURCES, status)
        async with (
            following_read_model(config, client) as followed,
            background_tasks() as start,
        ):
            status.supervisor = ProjectorSupervisor(
                followed.reading.pool,
                config.postgres.url,
                sources,
                lambda stream, name: Announcer(client, replica, stream=stream, read_model=name),
                region=config.site.region,
            )
            status.probe = HealthProbe(events, followed.reading.pool, status.position, metrics)
            _watch(metrics, status)
            start(status.probe.run())
            for group in status.groups:
                start(_run(config, sources, group, status, status.supervisor))
            await status.supervisor.started(RESOURCES)
            announce(Announcement(monitor=monitor))
            await stop.received()


async def _run(
    config: Config,
    sources: Sources,
    group: ProjectionGroup,
    status: ProjectorStatus,
    supervisor: ProjectorSupervisor,
) -> None:
    """One group: a new one is filled while the others are projected."""
    await _fill_first(config, sources, group, status)
    await supervisor.run(group)


def _watch_filling(metrics: Metrics, status: ProjectorStatus) -> None:
    done = metrics.labelled_gauge(
        "read_model_filled_events", "Events in a read model that is or was being filled", "group"
    )
    all_events = metrics.labelled_gauge(
        "read_model_events_to_fill", "Events that it is to have when it is filled", "group"
    )
    for group in status.groups:
        done.labels(group.name).set_function(partial(status.filled_of, group, "events"))
        all_events.labels(group.name).set_function(partial(status.filled_of, group, "of"))


def _watch(metrics: Metrics, status: ProjectorStatus) -> None:
    gauge = metrics.labelled_gauge(
        "projector_stopped", "1 while no rows of a projection group are written", "group"
    )
    for group in status.groups:
        gauge.labels(group.name).set_function(partial(status.stopped, group))


async def _fill_first(
    config: Config, sources: Sources, group: ProjectionGroup, status: ProjectorStatus
) -> None:
    """Returns when the group has a read model of its layout. An older release may go on with
    another layout beside this one."""

    def report(filled: rebuild.Filled) -> None:
        status.filled[group.name] = filled
        status.waiting[group.name] = f"{being_filled}: {filled.events} of {filled.of} events"

    being_filled = f"{group.name}: the read model is being filled"
    status.waiting[group.name] = being_filled

    async def fill() -> None:
        try:
            await rebuild.first(
                config.postgres.url,
                sources.of(group),
                group,
                region=config.site.region,
                report=report,
            )
        except LogGap as gap:
            status.waiting[group.name] = f"{group.name}: {gap}"
            raise

    await retrying(
        fill,
        LogGap,
        rebuild.ReadModelBusy,
        LogUnavailable,
        *tables.DATABASE_UNAVAILABLE,
        *READ_MODEL_ERRORS,
        awaited=f"a read model of {group.name}",
    )
