"""The projector process: keeps every read model of this release current."""

import asyncio
from dataclasses import dataclass

from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    READ_MODEL_ERRORS,
    connected_log,
    following_read_model,
    retrying,
)
from secaplane.cli.processes.health import HealthProbe, remarks
from secaplane.cli.processes.monitor import monitored
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.projector import rebuild
from secaplane.projector.run import LogGap
from secaplane.projector.supervisor import ProjectorSupervisor
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables


@dataclass
class ProjectorStatus:
    """The state of the projector process, from which its readiness follows."""

    trouble: str = "the read model is being built"
    supervisor: ProjectorSupervisor | None = None
    health: HealthProbe | None = None

    def readiness(self) -> Readiness:
        if self.supervisor is None or self.health is None or self.supervisor.current is None:
            return Readiness(False, [self.trouble], [], {})
        projector = self.supervisor.current
        reasons = list(self.health.reasons)
        if projector.trouble:
            reasons.append(projector.trouble)
        if not projector.started.is_set():
            reasons.append("not started")
        details = {
            "position": str(projector.position),
            "projectionLag": self.health.lag,
            "quarantined": projector.quarantined,
            "readModels": sorted(self.supervisor.projectors),
        }
        return Readiness(not reasons, reasons, remarks(projector.quarantined), details)


async def run(config: Config, announce: Announce) -> None:
    metrics, status = Metrics(), ProjectorStatus()
    async with (
        monitored(config, status.readiness, metrics) as monitor,
        connected_log(config) as (client, events, _),
    ):
        await _build_first(config, events, status)
        async with (
            following_read_model(config, client) as (reading, progress),
            asyncio.TaskGroup() as group,
        ):
            supervisor = ProjectorSupervisor(
                reading,
                config.postgres.url,
                events,
                lambda name: Announcer(client, read_model=name),
                stream=config.nats.stream,
                region=config.site.region,
            )
            status.health = HealthProbe(
                events,
                reading.pool,
                lambda stream: (
                    supervisor.current.position if supervisor.current else progress.position(stream)
                ),
                metrics,
            )
            status.supervisor = supervisor
            group.create_task(supervisor.run())
            group.create_task(status.health.run())
            await supervisor.started.wait()
            announce(Announcement(monitor=monitor))
            await asyncio.Event().wait()


async def _build_first(config: Config, events: JetStreamLog, status: ProjectorStatus) -> None:
    """Builds the read model of this layout if there is none; another release may go on with its
    own meanwhile."""

    async def make() -> None:
        try:
            await rebuild.first(
                config.postgres.url, events, stream=config.nats.stream, region=config.site.region
            )
        except LogGap as gap:
            status.trouble = str(gap)
            raise

    await retrying(
        make,
        LogGap,
        rebuild.ReadModelBusy,
        LogUnavailable,
        *tables.DATABASE_UNAVAILABLE,
        *READ_MODEL_ERRORS,
        awaited="the first read model",
    )
