"""When an address is reconciled again: wakes, waits and backoff, on a virtual clock."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.decoding import undecodable
from secaplane.eventlog.log import UndecodableEvent
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.events import Closed, Created, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, State
from secaplane.plugins.plugin import FenceRejected
from secaplane.reconcilers import run
from secaplane.reconcilers.reconcile import RequeueAfter
from secaplane.reconcilers.run import DELAY_S_MAX, Reconcilers
from tests.positions import nth
from tests.rules.everything_held import EverythingHeld
from tests.scenario import found, history
from tests.virtual_time import in_virtual_time

NIC, SUBNET, DISK = Ref("nic", "n"), Ref("subnet", "s"), Ref("block-storage", "d")
WORKERS = 4
Result = RequeueAfter | None | Exception
Script = Callable[[Ref, int], Result | Coroutine[Any, Any, Result]]
"""(address, how many times it was reconciled before) -> the result, or the exception raised."""


class Trace:
    """Reconcilers whose reconciliations are scripted, and what they did when."""

    def __init__(self, script: Script) -> None:
        commands = SimpleNamespace(cache=SimpleNamespace(advance=lambda followed: None))
        dependencies = cast(Any, SimpleNamespace(commands=commands))
        dependencies.under = lambda tenure, background: dependencies
        self.reconcilers = Reconcilers(
            dependencies, cast(Any, None), cast(Any, None), cast(Any, EverythingHeld())
        )
        self.times: defaultdict[Ref, list[float]] = defaultdict(list)
        self.woken_by: list[Position] = []
        self._script = script

    async def reconcile(
        self, _: object, ref: Ref, woken_by: Position = BEGINNING
    ) -> RequeueAfter | None:
        now = asyncio.get_running_loop().time()
        before = len(self.times[ref])
        self.times[ref].append(round(now, 3))
        self.woken_by.append(woken_by)
        result = self._script(ref, before)
        if asyncio.iscoroutine(result):
            result = await result
        if isinstance(result, Exception):
            raise result
        return result

    async def during(self, seconds: float, scene: Coroutine[Any, Any, None] | None = None) -> None:
        """Run workers for that long, beside a scene."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "reconcile", self.reconcile)
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self.reconcilers._work()) for _ in range(WORKERS)]
                if scene is not None:
                    group.create_task(scene)
                await asyncio.sleep(seconds)
                for worker in workers:
                    worker.cancel()

    def add(self, *refs: Ref) -> None:
        for ref in refs:
            self.reconcilers.queue.add(ref)


def report_of(ref: Ref, sequence: int) -> UndecodableEvent:
    """Any event; it needs no content to wake what waits."""
    return UndecodableEvent(ref, nth(sequence), "of a later release")


def events_of(ref: Ref) -> list[RecordedEvent]:
    return history(ref, Created(spec={}), found(State.ACTIVE, observed_position=1))


# --- addresses of other processes


async def test_a_process_keeps_nothing_of_addresses_that_another_one_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process follows every event of the log: what it keeps of each would grow with the log."""
    trace = Trace(lambda ref, before: None)
    monkeypatch.setattr(trace.reconcilers.leases, "holds", lambda ref: ref == NIC)
    for ref in (NIC, SUBNET, DISK):
        trace.reconcilers.wake(events_of(ref)[0])
    assert set(trace.reconcilers._woken_by) == {NIC}
    assert len(trace.reconcilers.queue) == 1


# --- waits


@in_virtual_time
async def test_an_address_that_begins_to_wait_is_reconciled_once_more_at_once() -> None:
    trace = Trace(lambda ref, before: RequeueAfter(10, SUBNET))
    trace.add(NIC)
    await trace.during(25)
    assert trace.times[NIC] == [0, 0, 10, 20]


@in_virtual_time
async def test_any_event_of_its_target_wakes_it_and_names_the_position() -> None:
    trace = Trace(lambda ref, before: RequeueAfter(100, SUBNET))

    async def scene() -> None:
        await asyncio.sleep(5)
        trace.reconcilers.wake(report_of(SUBNET, 7))

    trace.add(NIC)
    await trace.during(50, scene())
    assert trace.times[NIC] == [0, 0, 5, 5]
    assert trace.woken_by == [BEGINNING, BEGINNING, nth(7), BEGINNING]


@in_virtual_time
async def test_an_event_during_the_reconciliation_that_begins_to_wait_is_not_missed() -> None:
    """The target becomes ready after the plan was made and before the wait is noted."""
    ready = False

    async def slow() -> RequeueAfter | None:
        nonlocal ready
        if ready:
            return None
        await asyncio.sleep(1)
        return RequeueAfter(100, SUBNET)

    trace = Trace(lambda ref, before: slow())

    async def scene() -> None:
        nonlocal ready
        await asyncio.sleep(0.5)
        ready = True
        trace.reconcilers.wake(report_of(SUBNET, 7))

    trace.add(NIC)
    await trace.during(50, scene())
    assert trace.times[NIC] == [0, 1]


@in_virtual_time
async def test_an_event_of_another_resource_wakes_nothing() -> None:
    trace = Trace(lambda ref, before: RequeueAfter(100, SUBNET))

    async def scene() -> None:
        await asyncio.sleep(5)
        trace.reconcilers.wake(report_of(DISK, 7))

    trace.add(NIC)
    await trace.during(50, scene())
    assert trace.times == {NIC: [0, 0]}


@in_virtual_time
async def test_several_addresses_wait_for_one_target_and_all_are_woken() -> None:
    trace = Trace(lambda ref, before: RequeueAfter(100, SUBNET))

    async def scene() -> None:
        await asyncio.sleep(5)
        trace.reconcilers.wake(report_of(SUBNET, 7))

    trace.add(NIC, DISK)
    await trace.during(50, scene())
    assert trace.times == {NIC: [0, 0, 5, 5], DISK: [0, 0, 5, 5]}


@in_virtual_time
async def test_a_delay_without_a_target_is_kept() -> None:
    trace = Trace(lambda ref, before: RequeueAfter(3) if before < 2 else None)
    trace.add(NIC)
    await trace.during(50)
    assert trace.times[NIC] == [0, 3, 6]


# --- events


@in_virtual_time
async def test_an_intent_queues_its_resource_and_a_report_does_not() -> None:
    trace = Trace(lambda ref, before: None)
    created, reported = events_of(NIC)

    async def scene() -> None:
        await asyncio.sleep(1)
        trace.reconcilers.wake(created)
        await asyncio.sleep(1)
        trace.reconcilers.wake(reported)
        trace.reconcilers.wake(report_of(NIC, 9))

    await trace.during(50, scene())
    assert trace.times == {NIC: [1]}


@in_virtual_time
async def test_calls_for_one_resource_are_serial_and_others_run_meanwhile() -> None:
    running, most = defaultdict[Ref, int](int), defaultdict[Ref, int](int)

    async def slow(ref: Ref) -> RequeueAfter | None:
        running[ref] += 1
        most[ref] = max(most[ref], running[ref])
        await asyncio.sleep(10)
        running[ref] -= 1
        return None

    trace = Trace(lambda ref, before: slow(ref))

    async def scene() -> None:
        for _ in range(5):
            await asyncio.sleep(1)
            trace.reconcilers.wake(events_of(NIC)[0])

    trace.add(NIC, DISK)
    await trace.during(60, scene())
    assert trace.times == {NIC: [0, 10], DISK: [0]}
    assert most == {NIC: 1, DISK: 1}


# --- failures


@in_virtual_time
async def test_backoff_doubles_from_a_fifth_of_a_second_to_a_minute() -> None:
    trace = Trace(lambda ref, before: OSError("no answer"))
    trace.add(NIC)
    await trace.during(260)
    times = trace.times[NIC]
    delays = [round(later - earlier, 3) for earlier, later in pairwise(times)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]
    assert trace.reconcilers.failures == {NIC: 12}


@in_virtual_time
async def test_a_success_forgets_the_failures() -> None:
    outcomes: list[Result] = [
        Unavailable("x"),
        ValueError("a bug"),
        RequeueAfter(5),
        OSError("y"),
        None,
    ]
    trace = Trace(lambda ref, before: outcomes[before])
    trace.add(NIC)
    await trace.during(50)
    assert trace.times[NIC] == [0, 0.2, 0.6, 5.6, 5.8]
    assert (trace.reconcilers.failures, trace.reconcilers.done) == ({}, 2)


@in_virtual_time
async def test_an_intent_does_not_wait_for_the_backoff() -> None:
    trace = Trace(lambda ref, before: OSError("no answer") if before < 6 else None)

    async def scene() -> None:
        await asyncio.sleep(7)
        trace.reconcilers.wake(events_of(NIC)[0])

    trace.add(NIC)
    await trace.during(50, scene())
    assert trace.times[NIC] == [0, 0.2, 0.6, 1.4, 3, 6.2, 7]


@in_virtual_time
async def test_a_rejected_fence_is_no_failure_and_is_tried_again_after_the_longest_delay() -> None:
    trace = Trace(lambda ref, before: None if before else FenceRejected("older"))
    trace.add(NIC)
    await trace.during(100)
    assert trace.times[NIC] == [0, DELAY_S_MAX]
    assert (trace.reconcilers.failures, trace.reconcilers.done) == ({}, 1)


# --- damaged histories


def damaged(ref: Ref) -> Undecodable:
    return undecodable(ref, "of a later release")


@in_virtual_time
async def test_an_address_whose_history_cannot_be_read_is_parked_without_backoff() -> None:
    trace = Trace(lambda ref, before: damaged(NIC))
    trace.add(NIC)
    await trace.during(500)
    assert trace.times[NIC] == [0, 0]
    assert (trace.reconcilers.parked, trace.reconcilers.failures) == ({NIC: NIC}, {})


@in_virtual_time
async def test_an_address_that_needs_a_damaged_one_is_parked_and_woken_by_its_next_event() -> None:
    whole = False

    def script(ref: Ref, before: int) -> Result:
        return None if whole or ref == DISK else damaged(SUBNET)

    trace = Trace(script)

    async def scene() -> None:
        nonlocal whole
        await asyncio.sleep(5)
        trace.reconcilers.wake(report_of(SUBNET, 7))
        await asyncio.sleep(5)
        whole = True
        (closed,) = history(SUBNET, Closed(since=nth(7), version=2))
        trace.reconcilers.wake(closed)

    trace.add(NIC, DISK)
    await trace.during(50, scene())
    assert trace.times == {NIC: [0, 0, 5, 5, 10], DISK: [0], SUBNET: [10]}
    assert trace.reconcilers.parked == {}


@in_virtual_time
async def test_a_refused_closing_parks_the_owner() -> None:
    trace = Trace(lambda ref, before: Damaged(ref=DISK))
    trace.add(NIC)
    await trace.during(50)
    assert trace.reconcilers.parked == {NIC: DISK}


@in_virtual_time
async def test_an_event_of_a_kind_of_a_later_release_queues_nothing() -> None:
    trace = Trace(lambda ref, before: None)

    async def scene() -> None:
        trace.reconcilers.wake(history(Ref("mainframe", "mainframes/m"), Created(spec={}))[0])

    await trace.during(5, scene())
    assert trace.times == {}
