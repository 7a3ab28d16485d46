"""Atomic batches of reports on three NATS nodes: while the stream's leader steps down and is
killed, every report is recorded once, and batches are recorded in every round."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from secaplane.command.handle import handle
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.jetstream.connection import NatsConnection
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable, VersionConflict
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.actor import RECONCILER
from secaplane.model.errors import Refusal
from secaplane.model.events import Created, RecordedEvent, StatusReported
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref, State
from secaplane.reconcilers.reports import status_report
from tests.faults.kit.nats_cluster import NatsCluster
from tests.flows.crashing import until, whole
from tests.rules.command_scene import VOLUME, Scene
from tests.scenario import IDS
from tests.servers import STREAM, connected

VOLUMES = 150
"""A round reports on so many volumes at the same time."""
STATES = (State.CREATING, State.ACTIVE)


class Cluster:
    """Three servers and a client of all of them."""

    def __init__(self, children: Supervisor, nats: Client, region: str) -> None:
        self.children, self.nats = children, nats
        self.log = JetStreamLog(nats, streams=Streams(STREAM), region=region, shares_syncs=True)
        self.batches = Counter[bool]()
        """Batches that were published, by whether they were recorded."""
        self._counted(self.log)

    def _counted(self, log: JetStreamLog) -> None:
        assert log._shared is not None
        publish = log._shared._batches

        async def counted(new_events: Sequence[NewEvent]) -> Sequence[RecordedEvent] | None:
            recorded = None
            try:
                recorded = await publish(new_events)
            finally:
                self.batches[recorded is not None] += 1
            return recorded

        log._shared._batches = counted

    async def leader(self) -> str:
        answer = await self.nats.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", 5.0)
        info: dict[str, Any] = msgspec.json.decode(answer.data)
        name: str = info["cluster"].get("leader", "")
        return name

    async def step_down(self) -> None:
        await self.nats.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}", b"", 5.0)

    async def kill_leader(self) -> None:
        os.kill(self.children.pid(await self.leader()), signal.SIGKILL)


@asynccontextmanager
async def three_nodes() -> AsyncIterator[Cluster]:
    place = Path(tempfile.mkdtemp(prefix="secaplane-batches-"))
    try:
        async with Supervisor(place / "logs") as children:
            dev = DevPlane(Config(), place, 0, durable=False)
            cluster = NatsCluster(dev, place)
            for server in cluster.servers():
                await children.start(server)
            async with _connected(cluster.url("everything")) as nats:
                made = Cluster(children, nats, dev.config.site.region)

                async def prepared() -> bool:
                    await made.log.prepare(replicas=3)
                    return True

                await until(prepared, "the stream exists")
                async with asyncio.TaskGroup() as group:
                    sharing = group.create_task(made.log.share_syncs())
                    yield made
                    sharing.cancel()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@asynccontextmanager
async def _connected(urls: str) -> AsyncIterator[Client]:
    first = urls.partition(",")[0]

    async def answers() -> bool:
        async with connected(first):
            return True

    await until(answers, "a server answers")
    nats = NatsConnection()
    await nats.connect(urls.split(","), pending_size=0)
    try:
        yield nats
    finally:
        await nats.close()


class Reporters:
    """A reconciler of each volume: reads it, and reports what it has not reported yet, until every
    state is recorded. As in the product, an append without an answer is looked up or repeated."""

    def __init__(self, cluster: Cluster) -> None:
        log = MonotonicLog(cluster.log)
        cache = ResourceCache(log, MemorySnapshots())
        self._commands = replace(Scene().dependencies, log=log, cache=cache)

    async def work(self, ref: Ref) -> None:
        await self._created(ref)
        for state in STATES:
            await until(partial(self._reported, ref, state), f"{ref} is {state}")

    async def _created(self, ref: Ref) -> None:
        new_event = NewEvent(
            ref=ref, uid=ref.name, time=self._commands.clock(), request=uuid4().hex,
            salt=self._commands.new_salt(), actor=RECONCILER, event=Created(spec=VOLUME),
        )  # fmt: skip

        async def recorded() -> bool:
            with suppress(VersionConflict):  # it was recorded without an answer
                await self._commands.log.append(new_event)
            return True

        await until(recorded, f"{ref} is created")

    async def _reported(self, ref: Ref, state: State) -> bool:
        with suppress(LogUnavailable, Refusal):
            current = await self._commands.cache.current(ref)
            assert current is not None
            if STATES.index(state) <= _index(current.state):
                return True
            report, request = status_report(current, state), f"reconciler-{uuid4().hex}"
            await handle(self._commands, ref, report, actor=RECONCILER, request=request)
            return True
        return False


def _index(state: State) -> int:
    return STATES.index(state) if state in STATES else -1


async def test_every_report_is_recorded_once_while_the_leader_changes() -> None:
    async with three_nodes() as cluster:
        reporters, refs = Reporters(cluster), list[Ref]()
        faults: list[Callable[[], Any] | None] = [
            None, cluster.step_down, cluster.kill_leader, None,
        ]  # fmt: skip
        for n, fault in enumerate(faults):
            some = [KINDS["block-storage"].ref(IDS, f"v{n}-{m}") for m in range(VOLUMES)]
            before = cluster.batches[True]
            async with asyncio.timeout(120), asyncio.TaskGroup() as group:
                for ref in some:
                    group.create_task(reporters.work(ref))
                if fault is not None:
                    await asyncio.sleep(0.05)
                    await fault()
            assert cluster.batches[True] > before, f"round {n}: no batch was recorded"
            refs += some
        await until(lambda: _caught_up(cluster), "every node has answered")
        assert_reported_once(await whole(cluster.log), refs)


async def _caught_up(cluster: Cluster) -> bool:
    return bool(await cluster.leader()) and bool(await cluster.log.end(STREAM))


def assert_reported_once(events: Sequence[RecordedEvent], refs: Sequence[Ref]) -> None:
    last = dict.fromkeys(refs, BEGINNING)
    states: dict[Ref, list[State]] = {ref: [] for ref in refs}
    for number, each in enumerate(events, start=1):
        assert each.position.sequence == number, "a position without an event"
        assert each.previous == last[each.ref], each
        last[each.ref] = each.position
        if isinstance(each.event, StatusReported):
            states[each.ref].append(each.event.state)
    wrong = {ref.name: found for ref, found in states.items() if found != [*STATES]}
    assert not wrong, wrong
