"""`secaplane projector rebuild` and `retire`: build read models from the log, drop old ones."""

import asyncio
import sys

from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connected_log, with_deadline
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.projector import rebuild
from secaplane.projector.run import LogGap, Projector
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables

HANDOVER_S = 2.0
"""The projector process notices a new read model within that time and takes over."""


async def rebuild_now(config: Config) -> int:
    """Builds a read model beside the active one, then activates it. Exit status 1 with a reason
    where another rebuild runs, the log has a gap, or a server is unavailable."""
    url, stream, region = config.postgres.url, config.nats.stream, config.site.region
    try:
        async with with_deadline(connected_log(config)) as (client, events, _):
            made = await rebuild.rebuild(url, events, stream=stream, region=region)
            print(
                f"{made.read_model} holds {made.end} events, built in {made.took_s:.1f} s",
                flush=True,
            )
            await _hand_over(config, client, events, made.read_model)
    except (rebuild.ReadModelBusy, LogGap, LogUnavailable, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


async def _hand_over(config: Config, client: Client, events: JetStreamLog, read_model: str) -> None:
    """Keeps the new read model current until the projector process has taken over."""
    pool = await tables.open_pool(config.postgres.url, schema=read_model, size=2, writes=True)
    announcer = Announcer(client, read_model=read_model)
    projector = Projector(pool, events, announcer, config.nats.stream, config.site.region)
    try:
        async with asyncio.timeout(HANDOVER_S):
            await projector.run()
    except TimeoutError:
        pass
    finally:
        pool.terminate()


async def retire_now(config: Config) -> int:
    """Drops every read model but the active one and prints their names."""
    try:
        for name in await rebuild.retire(config.postgres.url):
            print(f"{name} dropped")
    except (rebuild.ReadModelBusy, *tables.DATABASE_UNAVAILABLE) as error:
        return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    text = str(error) or f"the database or the log did not answer: {type(error).__name__}"
    print(f"secaplane: {text.splitlines()[0]}", file=sys.stderr)
    return 1
