"""`secaplane projector rebuild` and `retire`: fill read models from the log, drop former ones."""

import asyncio
import sys
from collections.abc import Sequence

from nats.aio.client import Client

from secaplane.audit.entry_log import EntryLog
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connected_log, created_replica, with_deadline
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.position import written
from secaplane.projector import rebuild
from secaplane.projector.groups import groups
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import LogGap
from secaplane.projector.shared_stream import SharedStream
from secaplane.projector.sources import Sources, projector_of
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.replica import Replica

HANDOVER_S = 2.0
"""The projector process notices a switch within that time and takes over."""


def chosen_groups(name: str) -> Sequence[ProjectionGroup]:
    """The group of a name, or all of them.

    Raises:
        BadConfig: there is no such group.
    """
    known = {group.name: group for group in groups()}
    if name and name not in known:
        raise BadConfig(f"there is no projection group {name}; there are {', '.join(known)}")
    return [known[name]] if name else list(known.values())


async def rebuild_now(config: Config, group_name: str = "") -> int:
    """Fills a read model of each chosen group (default: every group), then switches readers to it.
    Exit status 1 with a reason where another rebuild runs, the log has a gap, or a server is
    unavailable.

    Raises:
        BadConfig: there is no such group.
    """
    chosen = chosen_groups(group_name)
    try:
        async with with_deadline(connected_log(config)) as (client, events, _):
            replica = await created_replica(config)
            sources = Sources(events, EntryLog(client, log_stream=config.nats.stream))
            for group in chosen:
                made = await rebuild.rebuild(
                    config.postgres.url, sources.of(group), group, region=config.site.region
                )
                reached = written(made.reached) or "the beginning of an empty log"
                named = f"replica {replica.name}: {made.read_model}"
                print(f"{named} reached {reached} in {made.took_s:.1f} s", flush=True)
                await _hand_over(config, client, sources, group, replica, made.read_model)
    except (rebuild.ReadModelBusy, LogGap, LogUnavailable, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


async def _hand_over(
    config: Config,
    client: Client,
    sources: Sources,
    group: ProjectionGroup,
    replica: Replica,
    read_model: str,
) -> None:
    """Keeps the new read model current until the projector process has taken over."""
    pool = await tables.open_pool(config.postgres.url, schema=read_model, size=2, writes=True)
    try:
        async with asyncio.timeout(HANDOVER_S), asyncio.TaskGroup() as tasks:
            events = sources.of(group)
            for stream in events.streams.names:
                announcer = Announcer(client, replica, stream=stream, read_model=read_model)
                shared = SharedStream(events, stream)
                projector = projector_of(group, pool, shared, announcer, config.site.region)
                tasks.create_task(projector.run())
    except TimeoutError:
        pass
    finally:
        pool.terminate()


async def retire_now(config: Config, group_name: str = "") -> int:
    """Drops every read model of the chosen groups but the active ones, and prints their names.

    Raises:
        BadConfig: there is no such group.
    """
    chosen = chosen_groups(group_name)
    try:
        replica = await created_replica(config)
        for group in chosen:
            for name in await rebuild.retire(config.postgres.url, group.tables):
                print(f"replica {replica.name}: {name} dropped")
    except (rebuild.ReadModelBusy, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    reason = str(error) or f"the database or the log did not answer: {type(error).__name__}"
    print(f"secaplane: {reason.splitlines()[0]}", file=sys.stderr)
    return 1
