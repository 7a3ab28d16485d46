"""The scan for drift: its rate, calls about many resources, processes that share it, restarts."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from secaplane.model.events import RecordedEvent, StatusReported
from secaplane.model.explained import ABSENT, DIFFERS, OVER
from secaplane.plugins.plugin import CloudUnavailable, FenceRejected, Observed
from secaplane.readmodel.questions.settled import FIRST
from secaplane.reconcilers.drift.scan import (
    AT_ONCE_MAX,
    BEHIND_S_MAX,
    RETRY_S,
    ROUND_S_MIN,
    SAVE_INTERVAL_S,
    TICKS_PER_S,
)
from tests.rules.scanning import CONFIRM_S, GONE, PAGE, ScannedPlane, disk, even, odd
from tests.virtual_time import in_virtual_time


def assert_rate_is_kept(plane: ScannedPlane, per_second: float) -> None:
    """In no time between two calls are there more comparisons than the rate allows, with what is
    made up for and one portion."""
    calls = plane.cloud.calls
    size = max(len(uids) for _, uids in calls)
    for first, (begin, _) in enumerate(calls):
        asked = 0
        for at, uids in calls[first:]:
            asked += len(uids)
            assert asked <= per_second * (at - begin + BEHIND_S_MAX) + size + 1e-6


def reasons(events: list[RecordedEvent]) -> list[str]:
    return [each.event.reason for each in events if isinstance(each.event, StatusReported)]


# --- the rate


@in_virtual_time
async def test_comparisons_are_made_at_a_steady_rate() -> None:
    plane = await ScannedPlane(per_second=50).having(200)
    async with plane.process().running():
        await asyncio.sleep(20)
    assert_rate_is_kept(plane, 50)
    assert 0.95 * 50 * 20 <= len(plane.cloud.asked()) <= 50 * 20


@in_virtual_time
async def test_the_portions_of_a_second_are_spread_over_it_and_as_large_as_one_call_may_be() -> (
    None
):
    for at_once, size in ((100, 500 // TICKS_PER_S), (7, 7)):
        plane = await ScannedPlane(per_second=500, at_once=at_once).having(PAGE)
        async with plane.process().running():
            await asyncio.sleep(PAGE / 500 + 0.001)
        assert len(plane.cloud.calls[0][1]) == size
        assert sorted(plane.cloud.asked()) == [f"u{n:04}" for n in range(PAGE)]
        times = [at for at, _ in plane.cloud.calls]
        assert all(after - before >= size / 500 * 0.5 for before, after in pairwise(times))


@in_virtual_time
async def test_a_call_that_takes_its_time_does_not_lower_the_rate_as_long_as_it_fits() -> None:
    plane = await ScannedPlane(per_second=500).having(1000)
    plane.cloud.delay_s = 0.03
    async with plane.process().running():
        await asyncio.sleep(10)
    assert_rate_is_kept(plane, 500)
    assert len(plane.cloud.asked()) >= 0.95 * 500 * 10


@in_virtual_time
async def test_lost_time_is_hardly_made_up_for() -> None:
    plane = await ScannedPlane(per_second=50).having(200)
    async with plane.process().running():
        await asyncio.sleep(5)
        plane.cloud.delay_s = 10.0
        await asyncio.sleep(1)
        plane.cloud.delay_s = 0.0
        await asyncio.sleep(14)
    times = [at for at, _ in plane.cloud.calls]
    assert max(after - before for before, after in pairwise(times)) >= 10
    assert_rate_is_kept(plane, 50)


@in_virtual_time
async def test_a_round_takes_no_longer_than_its_setting_says() -> None:
    plane = await ScannedPlane(per_second=1, round_s=10).having(500)
    async with plane.process().running():
        await asyncio.sleep(10.5)
    assert len(set(plane.cloud.asked())) == 500
    assert_rate_is_kept(plane, 50)


@in_virtual_time
async def test_the_rows_of_a_few_resources_are_not_read_without_a_pause() -> None:
    for volumes in (0, 2):
        plane = await ScannedPlane(per_second=10_000).having(volumes)
        async with plane.process().running():
            await asyncio.sleep(10)
        assert len(plane.rows.pages) <= 2 * (10 / ROUND_S_MIN + 1)
        assert len(plane.cloud.asked()) >= volumes * 0.9 * 10 / ROUND_S_MIN


# --- calls about many resources


@in_virtual_time
async def test_a_call_that_fails_counts_each_resource_that_it_named_and_the_scan_waits() -> None:
    plane = await ScannedPlane(per_second=500).having(100)
    process = plane.process()
    plane.cloud.failure = CloudUnavailable("no connection")
    async with process.running():
        await asyncio.sleep(RETRY_S * 2.5)
        calls = plane.cloud.calls
        assert [len(uids) for _, uids in calls] == [20, 20, 20]
        assert process.scan.failed == 60
        assert all(after[0] - before[0] >= RETRY_S - 1e-6 for before, after in pairwise(calls))
        assert process.scan.failing
        plane.cloud.failure = None
        await asyncio.sleep(RETRY_S)
    assert not process.scan.failing
    assert process.scan.failed == 60
    assert process.scan.compared > 0


@in_virtual_time
async def test_an_answer_that_is_an_exception_concerns_its_resource_alone() -> None:
    plane = await ScannedPlane(per_second=500).having(20)
    plane.cloud.answers = {"u0003": CloudUnavailable("busy"), "u0007": FenceRejected("later")}
    process = plane.process()
    async with process.running():
        await asyncio.sleep(0.05)
    assert (process.scan.failed, process.scan.compared) == (1, 18)
    assert not process.scan.failing


@in_virtual_time
async def test_a_status_that_the_kind_does_not_have_concerns_its_resource_alone() -> None:
    plane = await ScannedPlane(per_second=500).having(20)
    plane.cloud.answers = {"u0003": Observed({"sizeGB": "ten"})}
    process = plane.process()
    async with process.running():
        await asyncio.sleep(0.05)
    assert (process.scan.failed, process.scan.compared) == (1, 19)


@in_virtual_time
async def test_fewer_answers_than_questions_are_no_answers() -> None:
    plane = await ScannedPlane(per_second=500).having(20)
    process = plane.process()
    whole = plane.cloud._called
    plane.cloud._called = lambda uids: whole(uids[1:])  # type: ignore[method-assign]
    async with process.running():
        await asyncio.sleep(0.05)
    assert (process.scan.failed, process.scan.compared) == (20, 0)


@in_virtual_time
async def test_a_tenure_that_ends_during_a_call_ends_it_and_nothing_is_reported() -> None:
    """The scan does not wait as after a failure of the cloud: it goes on with what it holds."""
    plane = await ScannedPlane(per_second=50).having(20)
    plane.cloud.answers = {f"u{n:04}": GONE for n in range(20)}
    plane.cloud.delay_s = 1.0
    process = plane.process()
    async with process.running():
        await asyncio.sleep(0.5)
        assert len(plane.cloud.calls) == 1
        process.tenures[True].end()
        await asyncio.sleep(0.8)
        assert process.scan.compared == process.scan.failed == 0
        plane.cloud.delay_s = 0.0
        await asyncio.sleep(2)
        odds = {f"u{n:04}" for n in range(1, 20, 2)}
        assert not odds & set(plane.cloud.asked(since=1.3))
        assert process.scan.compared > 0
        assert process.scan.failed == 0
        await asyncio.sleep(CONFIRM_S * 2)
    assert await plane.unreported(range(1, 20, 2))


@in_virtual_time
async def test_a_cloud_that_answers_for_one_resource_is_asked_about_each_and_a_few_at_once() -> (
    None
):
    plane = await ScannedPlane(per_second=1000, at_once=1).having(200)
    plane.cloud.delay_s = 0.01
    plane.cloud.answers = {"u0003": CloudUnavailable("busy")}
    process = plane.process()
    async with process.running():
        await asyncio.sleep(0.25)
    assert all(len(uids) == 1 for _, uids in plane.cloud.calls)
    assert 1 < plane.cloud.under_way_max <= AT_ONCE_MAX
    assert set(plane.cloud.asked()) == {f"u{n:04}" for n in range(200)}
    assert process.scan.failed == Counter(plane.cloud.asked())["u0003"]


# --- the second look


@in_virtual_time
async def test_a_difference_that_stays_is_reported_once_and_repaired_and_its_end_is_reported() -> (
    None
):
    plane = await ScannedPlane().having(10)
    process = plane.process()
    plane.cloud.answers = {"u0003": GONE, "u0004": Observed({"sizeGB": 9})}
    async with process.running():
        await asyncio.sleep(CONFIRM_S * 4)
        assert reasons(await plane.reported(3)) == [ABSENT]
        assert reasons(await plane.reported(4)) == [DIFFERS]
        assert set(process.requeued) == {disk(3), disk(4)}
        plane.cloud.answers = {}
        await asyncio.sleep(CONFIRM_S * 4)
    assert reasons(await plane.reported(3)) == [ABSENT, OVER]
    assert (process.scan.found, process.scan.over) == (2, 2)
    assert await plane.unreported((0, 1, 2, 5, 6, 7, 8, 9))


@in_virtual_time
async def test_a_difference_that_does_not_stay_is_not_reported() -> None:
    plane = await ScannedPlane().having(10)
    plane.cloud.answers = {"u0003": GONE}
    async with plane.process().running():
        await asyncio.sleep(CONFIRM_S / 2)
        plane.cloud.answers = {}
        await asyncio.sleep(CONFIRM_S * 2)
    assert not await plane.reported(3)


@in_virtual_time
async def test_what_is_being_reconciled_is_not_compared() -> None:
    plane = await ScannedPlane().having(10)
    plane.cloud.answers = {"u0003": GONE}
    process = plane.process()
    process.busy.add(disk(3))
    async with process.running():
        await asyncio.sleep(CONFIRM_S * 2)
        assert "u0003" not in plane.cloud.asked()
        process.busy.clear()
        await asyncio.sleep(CONFIRM_S / 2)
        process.busy.add(disk(3))  # before the second look
        await asyncio.sleep(CONFIRM_S * 2)
    assert not await plane.reported(3)


# --- several processes


@in_virtual_time
async def test_two_processes_compare_what_each_holds_and_together_everything_at_the_same_rate() -> (
    None
):
    plane = await ScannedPlane(per_second=50).having(100)
    async with plane.process(even).running(), plane.process(odd).running():
        await asyncio.sleep(10 * 100 / 50)
    counts = Counter(plane.cloud.asked())
    assert len(counts) == 100
    assert max(counts.values()) - min(counts.values()) <= 1
    assert min(counts.values()) >= 9
    for _, uids in plane.cloud.calls:
        assert len({int(uid[-1]) % 2 for uid in uids}) == 1
    assert len(plane.cloud.asked()) <= 50 * 20


@in_virtual_time
async def test_a_process_that_holds_nothing_reads_the_rows_at_the_same_rate() -> None:
    plane = await ScannedPlane(per_second=50).having(3 * PAGE)
    async with plane.process(lambda ref: False).running():
        await asyncio.sleep(10 * 3 * PAGE / 50)
    assert plane.cloud.calls == []
    assert len(plane.rows.pages) <= 10 * 4 + 1


@in_virtual_time
async def test_what_moves_to_another_process_is_compared_by_that_one() -> None:
    plane = await ScannedPlane(per_second=50).having(100)
    first, second = plane.process(even), plane.process(odd)
    async with first.running(), second.running():
        await asyncio.sleep(5)
        first.holds, second.holds = (lambda ref: False), (lambda ref: True)
        moved = asyncio.get_running_loop().time()
        before = first.scan.compared
        await asyncio.sleep(5)
        assert first.scan.compared == before
        assert len(set(plane.cloud.asked(since=moved))) == 100


# --- restarts and outages


@in_virtual_time
async def test_a_process_begins_where_the_last_one_was() -> None:
    plane = await ScannedPlane(per_second=1).having(200)
    async with plane.process().running():
        await asyncio.sleep(2 * SAVE_INTERVAL_S + 5)
    kept = plane.cursor
    assert kept > disk(int(SAVE_INTERVAL_S))
    stopped = asyncio.get_running_loop().time()
    async with plane.process().running():
        await asyncio.sleep(200)
    again = plane.cloud.asked(since=stopped)
    assert again[0] == f"u{int(kept.name[1:]) + 1:04}"
    assert len(set(again)) >= 199


@in_virtual_time
async def test_processes_that_restart_before_a_round_is_over_get_through() -> None:
    """Two processes that keep one cursor, and are stopped three times in a round each."""
    plane = await ScannedPlane(per_second=1).having(200)
    for _ in range(6):
        async with plane.process(even).running(), plane.process(odd).running():
            await asyncio.sleep(3 * SAVE_INTERVAL_S)
    assert len(set(plane.cloud.asked())) == 200


@in_virtual_time
async def test_after_the_last_address_a_round_begins_anew() -> None:
    plane = await ScannedPlane(per_second=10).having(20)
    plane.cursor = disk(9)
    process = plane.process()
    async with process.running():
        await asyncio.sleep(3.5)
    assert plane.cloud.asked()[:12] == [
        *(f"u{n:04}" for n in range(10, 20)),
        "u0000",
        "u0001",
    ]
    assert process.scan.rounds == 2


@in_virtual_time
async def test_the_scan_goes_on_at_its_address_when_the_database_answers_again() -> None:
    plane = await ScannedPlane(per_second=50).having(3 * PAGE)
    process = plane.process()
    async with process.running():
        await asyncio.sleep(1)
        plane.rows.failure = OSError("no connection")
        await asyncio.sleep(20)
        assert len(plane.rows.pages) <= 2 + 20 / RETRY_S + 1
        plane.rows.failure = None
        await asyncio.sleep(RETRY_S + 2)
    first_round = plane.cloud.asked()[: 3 * PAGE]
    assert first_round == [f"u{n:04}" for n in range(3 * PAGE)]


def test_a_first_round_begins_before_every_address() -> None:
    assert all(disk(n) > FIRST for n in range(3))


@pytest.mark.parametrize("cursor", [disk(10_000), disk(0)])
def test_any_address_can_be_gone_on_from(cursor: object) -> None:
    @in_virtual_time
    async def scene() -> None:
        plane = await ScannedPlane().having(10)
        plane.cursor = cursor  # type: ignore[assignment]
        async with plane.process().running():
            await asyncio.sleep(1)
        assert len(set(plane.cloud.asked())) == 10

    scene()
