"""The projector process, and the subcommands that make read models anew and take them away."""

import asyncio
import sys
from dataclasses import dataclass

from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    NOT_YET,
    connected_log,
    following_read_model,
    retrying,
    with_deadline,
)
from secaplane.cli.processes.health import HealthProbe, remarks
from secaplane.cli.processes.monitor import monitored
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.projector import rebuild
from secaplane.projector.run import LogGap, Projector
from secaplane.projector.supervisor import ProjectorSupervisor
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables

HANDOVER_S = 2.0
"""The projector process has noticed the switch by then; until then we keep what we have made."""


@dataclass
class ProjectorStatus:
    """How far a projector process has come, for who asks whether it is ready."""

    trouble: str = "the read model is being made"
    keeper: ProjectorSupervisor | None = None
    vitals: HealthProbe | None = None

    def readiness(self) -> Readiness:
        if self.keeper is None or self.vitals is None or self.keeper.current is None:
            return Readiness(False, [self.trouble], [], {})
        projector = self.keeper.current
        reasons = self.vitals.reasons
        if projector.trouble:
            reasons.append(projector.trouble)
        if not projector.started.is_set():
            reasons.append("not started")
        details = {
            "position": str(projector.position),
            "projectionLag": self.vitals.lag,
            "quarantined": projector.quarantined,
            "readModels": sorted(self.keeper.projectors),
        }
        return Readiness(not reasons, reasons, remarks(projector.quarantined), details)


async def run(config: Config, announce: Announce) -> None:
    metrics, standing = Metrics(), ProjectorStatus()
    async with (
        monitored(config, standing.readiness, metrics) as monitor,
        connected_log(config) as (client, events, _),
    ):
        await _first(config, events, standing)
        async with (
            following_read_model(config, client) as (reading, progress),
            asyncio.TaskGroup() as group,
        ):
            keeper = ProjectorSupervisor(
                reading,
                config.postgres.url,
                events,
                lambda name: _announcer(config, client, name),
                stream=config.nats.stream,
                region=config.site.region,
            )
            standing.vitals = HealthProbe(
                events,
                reading.pool,
                lambda stream: (
                    keeper.current.position if keeper.current else progress.position(stream)
                ),
                metrics,
            )
            standing.keeper = keeper
            group.create_task(keeper.run())
            group.create_task(standing.vitals.run())
            await keeper.started.wait()
            announce(Announcement(monitor=monitor))
            await asyncio.Event().wait()


async def _first(config: Config, events: JetStreamLog, standing: ProjectorStatus) -> None:
    """There is a read model of this layout afterwards; who was before us may go on with another."""

    async def make() -> None:
        try:
            await rebuild.first(
                config.postgres.url, events, stream=config.nats.stream, region=config.site.region
            )
        except LogGap as gap:
            standing.trouble = str(gap)
            raise

    await retrying(
        make, LogGap, rebuild.ReadModelBusy, LogUnavailable, *tables.DATABASE_UNAVAILABLE, *NOT_YET
    )


def _announcer(config: Config, client: Client, read_model: str) -> Announcer:
    return Announcer(client, read_model=read_model)


async def rebuild_now(config: Config) -> int:
    url, stream, region = config.postgres.url, config.nats.stream, config.site.region
    try:
        async with with_deadline(connected_log(config)) as (client, events, _):
            made = await rebuild.rebuild(url, events, stream=stream, region=region)
            said = f"{made.read_model} holds {made.end} events, made in {made.took_s:.1f} s"
            print(said, flush=True)
            await _hand_over(config, client, events, made.read_model)
    except (rebuild.ReadModelBusy, LogGap, LogUnavailable, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


async def _hand_over(config: Config, client: Client, events: JetStreamLog, read_model: str) -> None:
    """Nobody shall wait for the projector process to notice."""
    pool = await tables.open_pool(config.postgres.url, schema=read_model, size=2, writes=True)
    announcer = _announcer(config, client, read_model)
    projector = Projector(pool, events, announcer, config.nats.stream, config.site.region)
    try:
        async with asyncio.timeout(HANDOVER_S):
            await projector.run()
    except TimeoutError:
        pass
    finally:
        pool.terminate()


async def retire_now(config: Config) -> int:
    try:
        for name in await rebuild.retire(config.postgres.url):
            print(f"{name} is gone")
    except (rebuild.ReadModelBusy, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    said = str(error) or f"the database or the log did not answer: {type(error).__name__}"
    print(f"secaplane: {said.splitlines()[0]}", file=sys.stderr)
    return 1
