"""Projecting a cold log, and working with long histories."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import asyncpg
import msgspec
import nats
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Put
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import KeyValueSnapshots, MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.events import Created, Updated
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.simulated import SimulatedPlugin
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.replica import Replica
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.reconcile import reconcile
from tests.bench.figures import Figure, figure
from tests.log.new_events import SALT
from tests.opened_log import opened_log
from tests.plane import TENANT, VOLUME, RunningPlane, quiet_plane
from tests.positions import STREAM, nth
from tests.sealing import SEALERS

REPEATS = 5
EVENTS_MAX = 20_000
LONG, SHORT = 10_000, 10
COLD = 40
BY = Actor(sub="bench")
Work = Callable[[Ref], Awaitable[None]]
DATABASE = "cold"


async def measure(plane: RunningPlane) -> dict[str, Figure]:
    client = await nats.connect(plane.dev.nats("everything"))
    try:
        return await _project(plane, client)
    finally:
        await client.close()


async def measure_histories() -> dict[str, Figure]:
    async with quiet_plane() as plane:
        client = await nats.connect(plane.dev.nats("everything"))
        try:
            return await _histories(plane, client)
        finally:
            await client.close()


async def _project(plane: RunningPlane, client: Client) -> dict[str, Figure]:
    log = opened_log(plane.dev.config, client)
    end = min(await log.end(STREAM), nth(EVENTS_MAX))
    ratios, ours = [], []
    for _ in range(REPEATS):
        read_s = await _read_s(client, end)
        project_s = await _project_s(plane, client, log, end)
        ours.append(end.sequence / project_s)
        ratios.append(read_s / project_s)
    return {
        "project_vs_bare": figure(ratios, "ratio"),
        "project_per_second": figure(ours, "1/s"),
    }


async def _read_s(client: Client, end: Position) -> float:
    """A bare ordered consumer of the same events."""
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    began = time.perf_counter()
    messages = await client.jetstream().subscribe("seca.>", ordered_consumer=True, config=config)
    for _ in range(end.sequence):
        await messages.next_msg(timeout=10)
    took = time.perf_counter() - began
    await messages.unsubscribe()
    return took


async def _project_s(
    plane: RunningPlane, client: Client, log: JetStreamLog, end: Position
) -> float:
    """As the projector process does: every group for itself, on one shared stream."""
    async with _database(plane) as url:
        shared, projectors = SharedStream(log, STREAM), list[Projector]()
        for group in (RESOURCES, HISTORY):
            await tables.prepare(url, group.tables)
            pool = await tables.open_pool(url, schema=group.tables.first, writes=True)
            announcer = Announcer(
                client, Replica("bench", DATABASE), stream=STREAM, read_model=DATABASE
            )
            projectors.append(Projector(group, pool, shared, announcer, "eu-1"))
            await projectors[-1].begin()
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for each in projectors:
                tasks.create_task(_project_up_to(each, end))
        took = time.perf_counter() - began
        for each in projectors:
            each.pool.terminate()
    return took * end.sequence / max(each.position for each in projectors).sequence


async def _project_up_to(projector: Projector, end: Position) -> None:
    async with aclosing(projector.stream.follow(after=BEGINNING)) as batches:
        async for batch in batches:
            if batch and await projector.project(batch) >= end:
                break


@asynccontextmanager
async def _database(plane: RunningPlane) -> AsyncIterator[str]:
    """An empty database; yields its URL."""
    url = plane.dev.postgres("secaplane")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"drop database if exists {DATABASE} with (force)")
        await connection.execute(f"create database {DATABASE}")
        yield url.rpartition("/")[0] + f"/{DATABASE}"
        await connection.execute(f"drop database {DATABASE} with (force)")
    finally:
        await connection.close()


async def _histories(plane: RunningPlane, client: Client) -> dict[str, Figure]:
    """PUT and reconcile, each with an empty cache, on a long history and on a short one."""
    log = opened_log(plane.dev.config, client)
    snapshots = KeyValueSnapshots(client, stream="SECA", region="eu-1")
    cloud = plane.dev.config.cloud
    plugin, fences = SimulatedPlugin(cloud.url, cloud.token), FenceSource(epoch=1)
    await log.prepare()
    await snapshots.prepare()
    long, short = _ref("long"), _ref("short")
    await _fill_workspace(log)
    await _fill(log, ResourceCache(log, snapshots), long, LONG)
    await _fill(log, ResourceCache(log, snapshots), short, SHORT)
    numbers = count()

    async def put(ref: Ref) -> None:
        wish = Put(spec=VOLUME["spec"])
        dependencies = _door(log, ResourceCache(log, snapshots))
        await handle(dependencies, ref, wish, actor=BY, request=f"bench-{next(numbers)}")

    async def nothing(ref: Ref) -> None: ...

    async def alone(resource: Resource) -> Mapping[Ref, Resource]:
        return {}

    async def reconcile_once(ref: Ref) -> None:
        dependencies = _door(log, ResourceCache(log, snapshots))
        await reconcile(ReconcileDependencies(dependencies, plugin, fences, SEALERS, alone), ref)

    try:
        return {
            "put_history_growth": await _growth(nothing, put, long, short),
            "reconcile_history_growth": await _growth(put, reconcile_once, long, short),
        }
    finally:
        await plugin.close()


async def _growth(before: Work, work: Work, long: Ref, short: Ref) -> Figure:
    """Ratio of times of `measured`; `before` is not timed."""
    ratios = []
    for _ in range(REPEATS):
        took: dict[Ref, list[float]] = {long: [], short: []}
        for _ in range(COLD):
            for ref, times in took.items():
                await before(ref)
                began = time.perf_counter()
                await work(ref)
                times.append(time.perf_counter() - began)
        ratios.append(statistics.median(took[long]) / statistics.median(took[short]))
    return figure(ratios, "ratio")


async def _fill(log: JetStreamLog, cache: ResourceCache, ref: Ref, events: int) -> None:
    """Writes a history of that many events, with the snapshots that the product would take."""
    resource: Resource | None = None
    time_ = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(events):
        spec = VOLUME["spec"]
        event = Updated(spec=spec) if resource else Created(spec=spec)
        page = NewEvent(
            ref=ref,
            uid=ref.name,
            time=time_,
            request=f"{ref.name}-{n}",
            salt=SALT,
            actor=BY,
            event=event,
        )
        after = resource.position if resource else BEGINNING
        recorded = await log.append(msgspec.structs.replace(page, previous=after))
        before, resource = resource, evolve(resource, recorded)
        await cache.store(resource, before=before)
        time_ += timedelta(milliseconds=1)


async def _fill_workspace(log: JetStreamLog) -> None:
    workspace = Ref("workspace", f"tenants/{TENANT}/workspaces/w1")
    for ref in (workspace, Ref("tenant", f"tenants/{TENANT}")):
        await _fill(log, ResourceCache(log, MemorySnapshots()), ref, 1)


def _ref(name: str) -> Ref:
    return KINDS["block-storage"].ref({"tenant": TENANT, "workspace": "w1"}, name)


def _door(log: JetStreamLog, cache: ResourceCache) -> CommandDependencies:
    async def inside(ref: Ref, include_terminating: bool) -> list[Ref]:
        return []

    async def users(refs: Sequence[Ref], include_terminating: bool) -> list[Ref]:
        return []

    async def named_by(ref: Ref, kinds: Sequence[str]) -> list[Ref]:
        return []

    async def reached(positions: Sequence[Position], seconds: float) -> bool:
        return True

    return CommandDependencies(
        log=log,
        cache=cache,
        clock=lambda: datetime.now(UTC),
        new_uid=lambda: "uid",
        new_salt=lambda: SALT,
        seal=SEALERS.seal,
        children=inside,
        referrers=users,
        named_by=named_by,
        reached=reached,
    )
