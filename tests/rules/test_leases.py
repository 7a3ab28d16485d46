"""Leases in virtual time: who holds a partition, when it moves, and that there are never two."""

import asyncio
import time
from functools import partial
from pathlib import Path
from random import Random

import pytest

from secaplane.model.shape import Ref
from secaplane.reconcilers.leases.lease import LeaseLost, boottime
from secaplane.reconcilers.leases.partitions import ALL, CATALOGUE, NUMBERED, partition_of
from tests.rules.leasing import Region
from tests.source import ROOT
from tests.virtual_time import VirtualLoop, in_virtual_time

MOVED_S_MAX = 10.0
AT_ONCE_S = 1.0


def test_the_partition_of_an_address_is_the_same_for_ever() -> None:
    ref = Ref("block-storage", "tenants/demo/workspaces/web/block-storages/disk")
    assert partition_of(ref) == "21"
    spread = {partition_of(Ref("nic", f"tenants/t/workspaces/w/nics/n{n}")) for n in range(1000)}
    assert spread == set(NUMBERED)


@pytest.mark.parametrize("path", sorted((ROOT / "reconcilers/leases").glob("*.py")), ids=str)
def test_no_lease_reads_the_wall_clock(path: Path) -> None:
    """So a step of the wall clock has no effect."""
    text = path.read_text()
    assert all(word not in text for word in ("time.time", "datetime", "monotonic", "time_ns"))


def test_the_clock_counts_while_a_machine_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@in_virtual_time
async def test_a_single_process_takes_everything_at_its_start() -> None:
    region = Region()
    region.start()
    assert await region.until(lambda: region.held() == [len(ALL)], 1) < 0.1
    assert region.server.revision == 2, "one write of the assignment and one renewal"
    await region.end()


@in_virtual_time
async def test_a_process_that_joins_gets_its_share_at_once() -> None:
    region = Region()
    region.start()
    await region.until(lambda: region.held() == [len(ALL)], 1)
    region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3 * AT_ONCE_S)
    region.start()
    await region.until(lambda: sorted(region.held()) == [22, 22, 23], 3 * AT_ONCE_S)
    await region.end()


@in_virtual_time
async def test_two_that_start_at_the_same_time_share_the_work() -> None:
    region = Region()
    region.start()
    region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3 * AT_ONCE_S)
    assert len(region.server.entries) == 3
    await region.end()


@in_virtual_time
async def test_a_graceful_stop_moves_everything_at_once() -> None:
    region = Region()
    first, second = region.start(), region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    await first.stop()
    await region.until(lambda: len(second.partitions()) == len(ALL), AT_ONCE_S)
    await region.end()


@in_virtual_time
async def test_the_partitions_of_a_dead_process_move_within_ten_seconds() -> None:
    region = Region()
    first, second = region.start(), region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    first.kill()
    took_s = await region.until(lambda: len(second.partitions()) == len(ALL), MOVED_S_MAX)
    assert took_s > 4, "not before the lease of the dead process is over"
    await region.end()


@in_virtual_time
async def test_the_successor_of_a_dead_process_waits_for_the_end_of_its_lease() -> None:
    region = Region()
    first = region.start()
    await region.until(lambda: region.held() == [len(ALL)], 1)
    first.kill()
    second = region.start(begin=1e6)
    await region.until(lambda: len(second.partitions()) == len(ALL), MOVED_S_MAX)
    await region.end()


@in_virtual_time
async def test_a_process_stopped_across_the_end_of_its_lease_finds_itself_replaced() -> None:
    region = Region()
    first, second = region.start(), region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    tenure = first.tenure(next(iter(first.partitions())))
    first.continued.clear()
    await region.until(lambda: len(second.partitions()) == len(ALL), MOVED_S_MAX)
    await region.during(20)
    first.continued.set()
    assert tenure is not None
    with pytest.raises(LeaseLost):
        tenure.fences.next()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    with pytest.raises(LeaseLost):
        tenure.fences.next()
    await region.end()


@in_virtual_time
async def test_a_late_renewal_without_a_successor_continues_the_same_tenure() -> None:
    """The bucket is unavailable for 20 s, for every process: nothing moves."""
    region = Region()
    first, second = region.start(), region.start()
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    before = {each: first.tenure(each) for each in first.partitions()}
    region.server.reachable = False
    await region.during(20)
    assert region.held() == [0, 0], "no call is made without a lease"
    region.server.reachable = True
    await region.until(lambda: sorted(region.held()) == [33, 34], 3)
    await region.during(20)
    assert {each: first.tenure(each) for each in first.partitions()} == before
    assert second.partitions().isdisjoint(before)
    await region.end()


@in_virtual_time
async def test_a_partition_is_handed_over_when_its_last_work_is_done() -> None:
    region = Region()
    first = region.start()
    await region.until(lambda: region.held() == [len(ALL)], 1)
    last = Ref(
        "nic", next(f"n{n}" for n in range(9999) if partition_of(Ref("nic", f"n{n}")) == "63")
    )
    with first.leases.working(last) as tenure:
        second = region.start()
        await region.until(lambda: len(second.partitions()) >= 32, 3)
        assert tenure is not None
        tenure.fences.next()
        assert not first.leases.holds(last), "no new work begins"
        assert second.tenure("63") is None
    await region.until(lambda: second.tenure("63") is not None, AT_ONCE_S)
    with pytest.raises(LeaseLost):
        tenure.fences.next()
    await region.end()


@in_virtual_time
async def test_work_of_one_process_for_all_runs_in_one_and_follows_the_lease() -> None:
    region, running = Region(), list[str]()

    async def work(name: str) -> None:
        running.append(name)
        try:
            await asyncio.sleep(1e6)
        finally:
            running.remove(name)

    processes = [region.start(), region.start()]
    tasks = [
        asyncio.create_task(each.leases.while_held(CATALOGUE, partial(work, each.name)))
        for each in processes
    ]
    await region.until(lambda: len(running) == 1, 3)
    holder = next(each for each in processes if each.name == running[0])
    await holder.stop()
    (other,) = (each for each in processes if each is not holder)
    await region.until(lambda: running == [other.name], AT_ONCE_S)
    for each in tasks:
        each.cancel()
    await region.end()


@pytest.mark.parametrize("seed", range(40))
def test_no_partition_has_two_holders_under_any_delays_losses_and_stops(seed: int) -> None:
    async def scene() -> None:
        random = Random(seed)
        region = Region(random.random)
        server = region.server
        server.loses = lambda: random.random() < 0.05
        server.delay_s = lambda: random.choice((0.001, 0.01, 0.1, random.random() * 8))
        for _ in range(3):
            region.start(begin=random.random() * 1e6, rate=1 + (random.random() - 0.5) / 50)
        for _ in range(40):
            await region.during(random.random() * 4)
            process = random.choice(region.processes)
            match random.randrange(6):
                case 0:
                    process.continued.clear()
                case 1 | 2:
                    process.continued.set()
                case 3:
                    server.reachable = not server.reachable
                case 4 if len(region.processes) < 9:
                    region.start(begin=random.random() * 1e6, rate=1 + (random.random() - 0.5) / 50)
                case 5:
                    server.delay_s = random.choice((server.delay_s, lambda: 0.005))
        server.reachable, server.loses, server.delay_s = True, lambda: False, lambda: 0.002
        for process in region.processes:
            process.continued.set()
        await region.during(30)
        held = region.held()
        assert sum(held) == len(ALL)
        assert max(held) - min(held) <= 1
        await region.end()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
