"""Projecting a cold log, and working with long histories."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
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
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import KeyValueSnapshots, MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import Actor, Created, Updated
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.simulated import SimulatedPlugin
from secaplane.projector.run import Projector
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.reconcile import reconcile
from secaplane.sealing.sealer import Keyring, Sealer
from tests.bench.figures import Figure, figure
from tests.log.new_events import SALT
from tests.positions import STREAM, nth
from tests.stand import TENANT, VOLUME, Stand, quiet_stand

REPEATS = 5
EVENTS_MAX = 20_000
LONG, SHORT = 10_000, 10
COLD = 40
BY = Actor(sub="bench")
Work = Callable[[Ref], Awaitable[None]]
DATABASE = "cold"


async def measure(stand: Stand) -> dict[str, Figure]:
    client = await nats.connect(stand.house.nats("everything"))
    try:
        return await _project(stand, client)
    finally:
        await client.close()


async def measure_histories() -> dict[str, Figure]:
    async with quiet_stand() as stand:
        client = await nats.connect(stand.house.nats("everything"))
        try:
            return await _histories(stand, client)
        finally:
            await client.close()


async def _project(stand: Stand, client: Client) -> dict[str, Figure]:
    log = JetStreamLog(client, streams=Streams("SECA"), region="eu-1")
    end = min(await log.end(STREAM), nth(EVENTS_MAX))
    ratios, ours = [], []
    for _ in range(REPEATS):
        read_s = await _read_s(client, end)
        project_s = await _project_s(stand, client, log, end)
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


async def _project_s(stand: Stand, client: Client, log: JetStreamLog, end: Position) -> float:
    async with _database(stand) as url:
        await tables.prepare(url)
        pool = await tables.open_pool(url, writes=True)
        announcer = Announcer(client, read_model=DATABASE)
        projector = Projector(pool, log, announcer, "SECA", "eu-1")
        await projector.begin()
        began = time.perf_counter()
        async for batch in log.follow(STREAM, after=BEGINNING):
            if batch and await projector.project(batch) >= end:
                break
        took = (time.perf_counter() - began) * end.sequence / projector.position.sequence
        pool.terminate()
    return took


@asynccontextmanager
async def _database(stand: Stand) -> AsyncIterator[str]:
    """A database of its own, with no row in it."""
    url = stand.house.postgres("secaplane")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"drop database if exists {DATABASE} with (force)")
        await connection.execute(f"create database {DATABASE}")
        yield url.rpartition("/")[0] + f"/{DATABASE}"
        await connection.execute(f"drop database {DATABASE} with (force)")
    finally:
        await connection.close()


async def _histories(stand: Stand, client: Client) -> dict[str, Figure]:
    """PUT and look, each with folds that know nothing, on a long history and on a short one."""
    log = JetStreamLog(client, streams=Streams("SECA"), region="eu-1")
    snapshots = KeyValueSnapshots(client, stream="SECA", region="eu-1")
    plugin, fences = SimulatedPlugin(stand.house.config.cloud.url), FenceSource(epoch=1)
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

    async def look(ref: Ref) -> None:
        dependencies = _door(log, ResourceCache(log, snapshots))
        sealer = Sealer(Keyring.generate())
        await reconcile(ReconcileDependencies(dependencies, plugin, fences, sealer, alone), ref)

    try:
        return {
            "put_history_growth": await _growth(nothing, put, long, short),
            "reconcile_history_growth": await _growth(put, look, long, short),
        }
    finally:
        await plugin.close()


async def _growth(before: Work, work: Work, long: Ref, short: Ref) -> Figure:
    """`before` is not timed."""
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
    """A history of that many events, with the snapshots it would have got."""
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
        children=inside,
        referrers=users,
        named_by=named_by,
        reached=reached,
    )
