"""Replay into an empty database, compared with the projector that follows the same log. Runs alone:
`python -m tests.bench.replay_figures`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import uvloop
from nats.aio.client import Client

from secaplane.cli.processes import gc_tuning
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import (
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import State
from secaplane.projector.filling import filling
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.replica import Replica
from tests import servers
from tests.bench.figures import Figure, figure, store, table
from tests.log.new_events import REGION, new_event
from tests.plane import VOLUME

REPEATS = 3
VOLUMES, IN_FLIGHT = 4000, 200
GROUPS = (RESOURCES, HISTORY)
DATABASE = "replayed"
_number = count(1)


async def measure() -> dict[str, Figure]:
    with servers.nats() as nats_url, servers.postgres() as postgres_url:
        async with servers.connected(nats_url) as client:
            stream = await servers.emptied(client)
            log = JetStreamLog(client, streams=Streams(stream), region=REGION)
            await log.prepare()
            await _fill_log(log)
            end = await log.end(stream)
            lives, replays = [], []
            for _ in range(REPEATS):
                gc_tuning.ready()
                async with _database(postgres_url) as url:
                    lives.append(end.sequence / await _project_s(client, url, log, end))
                gc_tuning.filling()
                async with _database(postgres_url) as url:
                    replays.append(end.sequence / await _replay_s(url, log, end))
                print(f"replay {replays[-1]:.0f}/s, projector {lives[-1]:.0f}/s", flush=True)
    ratios = [one / other for one, other in zip(replays, lives, strict=True)]
    return {
        "replay_vs_project": figure(ratios, "ratio"),
        "replay_per_second": figure(replays, "1/s"),
    }


async def _fill_log(log: JetStreamLog) -> None:
    for begin in range(0, VOLUMES, IN_FLIGHT):
        async with asyncio.TaskGroup() as group:
            for number in range(begin, begin + IN_FLIGHT):
                group.create_task(_live(log, number))


async def _live(log: JetStreamLog, number: int) -> None:
    """The life of a volume; every tenth is deleted."""
    ids = {"tenant": "bench", "workspace": f"w{number % 20}"}
    ref, before = KINDS["block-storage"].ref(ids, f"volume-{number}"), BEGINNING
    for event in _events(number):
        recorded = await log.append(new_event(ref, event, uid=f"{number:032x}", previous=before))
        before = recorded.position


def _events(number: int) -> Iterable[AnyEvent]:
    spec, labels = VOLUME["spec"], VOLUME["labels"]
    yield Created(spec=spec, labels=labels)
    yield StatusReported(state=State.CREATING, observed_position=BEGINNING)
    yield StatusReported(state=State.ACTIVE, observed_position=BEGINNING, status={"sizeGB": 10})
    yield Updated(spec=spec | {"sizeGB": 20}, labels=labels | {"n": str(number)})
    yield StatusReported(state=State.ACTIVE, observed_position=BEGINNING, status={"sizeGB": 20})
    if number % 10 == 0:
        yield DeletionRequested()
        yield Deleted()


async def _project_s(client: Client, url: str, log: JetStreamLog, end: Position) -> float:
    """As the projector process does: every group for itself, on one shared stream, announced."""
    shared, projectors = SharedStream(log, end.stream), list[Projector]()
    for group in GROUPS:
        await tables.prepare(url, group.tables)
        pool = await tables.open_pool(url, schema=group.tables.first, writes=True)
        announcer = Announcer(
            client, Replica("bench", DATABASE), stream=end.stream, read_model=DATABASE
        )
        projectors.append(Projector(group, pool, shared, announcer, REGION))
        await projectors[-1].begin()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for each in projectors:
            tasks.create_task(_project_up_to(each, end))
    took = time.perf_counter() - began
    for each in projectors:
        each.pool.terminate()
    return took


async def _project_up_to(projector: Projector, end: Position) -> None:
    async with aclosing(projector.stream.follow(after=BEGINNING)) as batches:
        async for batch in batches:
            if batch and await projector.project(batch) >= end:
                break


async def _replay_s(url: str, log: JetStreamLog, end: Position) -> float:
    pools = {}
    for group in GROUPS:
        await tables.prepare(url, group.tables)
        pools[group] = await tables.open_pool(url, schema=group.tables.first, writes=True)
    began = time.perf_counter()
    async with filling(log, end.stream, pools, region=REGION, batch_done=lambda: None) as one:
        await one.fill(end)
    took = time.perf_counter() - began
    for each in pools.values():
        each.terminate()
    return took


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    """An empty database; yields its URL."""
    name = f"{DATABASE}_{next(_number)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.execute(f"create database {name}")
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


if __name__ == "__main__":
    figures = uvloop.run(measure())
    store(figures)
    print(table(figures))
