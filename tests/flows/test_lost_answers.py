"""Appends whose answer is lost: the event is in the log once, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import nats
import pytest
from nats.aio.client import Client as Nats

from secaplane.cli.config import Config
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import CommandResult, handle
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.eventlog.jetstream import log as jetstream
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.errors import Unavailable
from secaplane.model.events import AnyEvent, Created, DeletionRequested, RecordedEvent, Updated
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from tests.flows.client import VOLUME, at
from tests.flows.crashing import Scene, put_accepted, scene_of
from tests.flows.faulty_proxy import FaultyProxy, faulty_proxy
from tests.log.new_events import SALT
from tests.plane import shared_plane
from tests.sealing import SEALERS
from tests.servers import connected

JANE = Actor(sub="jane")
REGION = "eu-1"
ANSWERED_S_MAX = 30.0
IDS = {"tenant": "acme", "workspace": "web"}
TENANT, WEB = Ref("tenant", "tenants/acme"), KINDS["workspace"].ref(IDS, "web")
DISK = KINDS["block-storage"].ref(IDS, "disk")
SKU = Ref("storage-sku", "tenants/seca/skus/one")
SPEC: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/one"}}


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetstream, "PUBLISH_S_MAX", 0.5)
    monkeypatch.setattr(jetstream, "ANSWER_S_MAX", 1.0)


class Slow(JetStreamLog):
    """The append that the proxy holds arrives at the next load of its resource: before it, or just
    after."""

    proxy: FaultyProxy
    arrives = ""

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        held = self.proxy.happened.is_set() and not self.proxy.arrive.is_set()
        if held and self.arrives == "before":
            await self._arrive()
        found = await super().latest(ref)
        if held and self.arrives == "after":
            await self._arrive()
        return found

    async def _arrive(self) -> None:
        self.proxy.arrive.set()
        async with asyncio.timeout(ANSWERED_S_MAX):
            await self.proxy.answered.wait()


class World:
    """Command handling over a lossy proxy, and the log itself beside the proxy."""

    def __init__(self, proxy: FaultyProxy, log: Slow, beside: JetStreamLog) -> None:
        self.proxy, self.log, self.beside = proxy, log, beside
        numbers = count(1)
        self.dependencies = CommandDependencies(
            log=log,
            cache=ResourceCache(log, MemorySnapshots()),
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            new_uid=lambda: f"u{next(numbers)}",
            new_salt=lambda: SALT,
            seal=SEALERS.seal,
            children=_no_children,
            referrers=_no_referrers,
            named_by=_no_names,
            reached=_at_once,
        )

    async def handled(self, ref: Ref, command: Command, request: str) -> CommandResult:
        return await handle(self.dependencies, ref, command, actor=JANE, request=request)

    async def requests(self, ref: Ref) -> list[str]:
        return [each.request for each in await self.beside.read(ref)]


async def _no_children(ref: Ref, include_terminating: bool) -> list[Ref]:
    return []


async def _no_referrers(refs: Sequence[Ref], include_terminating: bool) -> list[Ref]:
    return []


async def _no_names(ref: Ref, kinds: Sequence[str]) -> list[Ref]:
    return []


async def _at_once(positions: Sequence[Position], seconds: float) -> bool:
    return True


async def _silent(error: Exception) -> None: ...


@pytest.fixture
async def world(nats_url: str, fresh_stream: str) -> AsyncIterator[World]:
    async with (
        connected(nats_url) as direct,
        faulty_proxy(nats_url) as (proxy, near),
        behind(near) as client,
    ):
        beside = JetStreamLog(direct, streams=Streams(fresh_stream), region=REGION)
        await beside.prepare()
        log = Slow(client, streams=Streams(fresh_stream), region=REGION)
        log.proxy = proxy
        made = World(proxy, log, beside)
        for ref in (TENANT, WEB, SKU):
            await made.handled(ref, Put(spec={}), "first")
        yield made


@asynccontextmanager
async def behind(url: str) -> AsyncIterator[Nats]:
    client = await nats.connect(
        url,
        pending_size=0,
        reconnect_time_wait=0.05,
        max_reconnect_attempts=-1,
        error_cb=_silent,
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("ref", "command"), [(DISK, Put(spec=SPEC)), (WEB, Put(spec={})), (WEB, Delete())]
)
async def test_an_event_whose_answer_was_lost_is_recognised(
    world: World, ref: Ref, command: Command
) -> None:
    world.proxy.lose_next_answer = True
    async with asyncio.TaskGroup() as group:
        pending = group.create_task(world.handled(ref, command, "mine"))
        async with asyncio.timeout(ANSWERED_S_MAX):
            await world.proxy.answered.wait()
        world.proxy.cut()
    former = ["first"] if ref == WEB else []
    assert await world.requests(ref) == [*former, "mine"]
    resource = pending.result().resource
    assert resource is not None
    assert resource.version == len(former) + 1


@pytest.mark.parametrize(
    ("ref", "command"), [(DISK, Put(spec=SPEC)), (WEB, Put(spec={})), (WEB, Delete())]
)
async def test_while_the_log_cannot_be_read_the_outcome_is_unknown(
    world: World, ref: Ref, command: Command
) -> None:
    world.proxy.lose_next_answer = True
    with pytest.raises(Unavailable, match="the outcome is unknown"):
        await world.handled(ref, command, "mine")
    assert (await world.requests(ref))[-1] == "mine"


async def test_the_same_command_after_an_unknown_outcome_is_recorded_again(world: World) -> None:
    world.proxy.lose_next_answer = True
    with pytest.raises(Unavailable):
        await world.handled(DISK, Put(spec=SPEC), "r1")
    world.proxy.cut()
    again = await world.handled(DISK, Put(spec=SPEC), "r2")
    assert type(again.event) is Updated
    assert again.resource is not None
    assert (again.resource.version, again.resource.uid) == (2, "u4")
    assert await world.requests(DISK) == ["r1", "r2"]


@pytest.mark.parametrize("arrives", ["before", "after", "too late"])
@pytest.mark.parametrize("known", [False, True])
async def test_an_event_that_arrives_late_is_recorded_once(
    world: World, known: bool, arrives: str
) -> None:
    """The client was disconnected before the append arrived; it arrives around the next load, or
    after the retry."""
    former = ["r0"] if known else []
    for request in former:
        await world.handled(DISK, Put(spec=SPEC), request)
    world.log.arrives = arrives
    world.proxy.hold_next_append = True
    result = await world.handled(DISK, Put(spec=SPEC), "r1")
    world.proxy.arrive.set()
    async with asyncio.timeout(ANSWERED_S_MAX):
        await world.proxy.answered.wait()
    assert type(result.event) is (Updated if known else Created)
    assert await world.requests(DISK) == [*former, "r1"]


@pytest.mark.parametrize("arrives", ["before", "after", "too late"])
@pytest.mark.parametrize("ref", [DISK, WEB])
async def test_a_deletion_that_arrives_late_is_recorded_once(
    world: World, ref: Ref, arrives: str
) -> None:
    await world.handled(DISK, Put(spec=SPEC), "first")
    world.log.arrives = arrives
    world.proxy.hold_next_append = True
    result = await world.handled(ref, Delete(), "mine")
    world.proxy.arrive.set()
    async with asyncio.timeout(ANSWERED_S_MAX):
        await world.proxy.answered.wait()
    assert result.event == DeletionRequested()
    assert await world.requests(ref) == ["first", "mine"]


# --- the same, over HTTP


async def test_a_caller_gets_an_unknown_outcome_or_the_recorded_resource() -> None:
    with shared_plane(Config()) as own_plane:
        async with (
            scene_of(own_plane) as scene,
            faulty_proxy(own_plane.dev.nats("writer")) as (proxy, near),
            scene.another_serve(near) as client,
        ):
            await client.made(at("workspace", "lossy"), {"spec": {}})
            path = at("block-storage", "disk", workspace="lossy")
            proxy.lose_next_answer = True
            refused = await client.put(path, VOLUME)
            assert refused.status == 503
            assert "the outcome is unknown" in refused.json["detail"]
            assert refused.headers["Retry-After"] == "1"
            assert await intents(scene) == [Created]
            proxy.cut()
            again = await put_accepted(client, path, VOLUME)
            recorded = await intents(scene)
            assert again.json["metadata"]["resourceVersion"] == len(recorded)
            await scene.at_rest()  # or the answer that is lost may say that it raced a report
            proxy.lose_next_answer = True
            proxy.answered.clear()
            async with asyncio.TaskGroup() as group:
                pending = group.create_task(client.put(path, VOLUME))
                async with asyncio.timeout(ANSWERED_S_MAX):
                    await proxy.answered.wait()
                proxy.cut()
            assert pending.result().status == 200, pending.result()
            assert pending.result().json["metadata"]["resourceVersion"] == len(recorded) + 1
            await scene.at_rest()
            assert await intents(scene) == [*recorded, Updated]


async def intents(scene: Scene) -> list[type[AnyEvent]]:
    ref = KINDS["block-storage"].ref({"tenant": "demo", "workspace": "lossy"}, "disk")
    types: list[type[AnyEvent]] = [type(each.event) for each in await scene.log.read(ref)]
    return [each for each in types if each in (Created, Updated)]
