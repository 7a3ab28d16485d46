"""The work queue, on a virtual clock."""

import asyncio
import random

from secaplane.model.shape import Ref
from secaplane.reconcilers.queue import Queue
from tests.virtual_time import in_virtual_time

WORKERS = 16

ONE, TWO, THREE = (Ref("instance", name) for name in ("one", "two", "three"))


def now() -> float:
    return asyncio.get_running_loop().time()


async def stays_empty(queue: Queue, seconds: float = 1000.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False


@in_virtual_time
async def test_added_addresses_are_due_at_once_and_in_order() -> None:
    queue = Queue()
    for ref in (TWO, ONE, THREE):
        queue.add(ref)
    assert [await queue.get() for _ in range(3)] == [TWO, ONE, THREE]
    assert now() == 0


@in_virtual_time
async def test_an_address_is_queued_at_most_once() -> None:
    queue = Queue()
    for _ in range(5):
        queue.add(ONE)
    assert len(queue) == 1
    queue.done(await queue.get())
    assert len(queue) == 0
    assert await stays_empty(queue)


@in_virtual_time
async def test_no_address_comes_before_it_is_due() -> None:
    queue = Queue()
    queue.add(ONE, seconds=30)
    queue.add(TWO, seconds=10)
    assert (await queue.get(), now()) == (TWO, 10)
    assert (await queue.get(), now()) == (ONE, 30)


@in_virtual_time
async def test_the_earliest_time_counts() -> None:
    queue = Queue()
    queue.add(ONE, seconds=30)
    queue.add(ONE, seconds=5)
    queue.add(ONE, seconds=60)
    assert (await queue.get(), now()) == (ONE, 5)
    queue.done(ONE)
    assert await stays_empty(queue)


@in_virtual_time
async def test_a_waiting_worker_gets_an_address_that_becomes_due_earlier() -> None:
    queue = Queue()
    queue.add(ONE, seconds=30)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        await asyncio.sleep(2)
        queue.add(TWO, seconds=1)
    assert (first.result(), now()) == (TWO, 3)


@in_virtual_time
async def test_a_worker_at_an_empty_queue_gets_the_first_address() -> None:
    queue = Queue()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        await asyncio.sleep(7)
        queue.add(ONE)
    assert (first.result(), now()) == (ONE, 7)


@in_virtual_time
async def test_no_two_workers_have_the_same_address() -> None:
    queue = Queue()
    queue.add(ONE)
    assert await queue.get() == ONE
    queue.add(ONE)
    assert await stays_empty(queue, 10)
    queue.done(ONE)
    assert (await queue.get(), now()) == (ONE, 10)


@in_virtual_time
async def test_an_address_added_during_its_work_keeps_its_time() -> None:
    queue = Queue()
    queue.add(ONE)
    await queue.get()
    queue.add(ONE, seconds=20)
    queue.add(ONE, seconds=12)
    queue.done(ONE)
    assert (await queue.get(), now()) == (ONE, 12)
    queue.done(ONE)
    assert await stays_empty(queue)


@in_virtual_time
async def test_an_address_due_during_its_work_does_not_delay_others() -> None:
    queue = Queue()
    queue.add(ONE)
    await queue.get()
    queue.add(ONE)
    queue.add(TWO, seconds=1)
    assert (await queue.get(), now()) == (TWO, 1)


@in_virtual_time
async def test_an_address_is_gone_after_its_work() -> None:
    queue = Queue()
    queue.add(ONE)
    queue.done(await queue.get())
    assert await stays_empty(queue)
    queue.add(ONE)
    assert await queue.get() == ONE


@in_virtual_time
async def test_a_superseded_entry_does_not_come_back() -> None:
    queue = Queue()
    queue.add(ONE, seconds=30)
    queue.add(ONE, seconds=1)
    await queue.get()
    queue.add(ONE, seconds=29)
    queue.done(ONE)
    assert (await queue.get(), now()) == (ONE, 30)
    queue.done(ONE)
    assert await stays_empty(queue)


@in_virtual_time
async def test_many_workers_share_the_addresses() -> None:
    queue, together, met = Queue(), set[Ref](), list[Ref]()
    refs = [Ref("instance", str(n)) for n in range(20)]

    async def work() -> None:
        for _ in range(30):
            ref = await queue.get()
            assert ref not in together
            together.add(ref)
            await asyncio.sleep(1)
            together.discard(ref)
            met.append(ref)
            queue.add(ref, seconds=0.5)
            queue.done(ref)

    for ref in refs:
        queue.add(ref)
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())
    assert len(met) == 240
    assert min(met.count(ref) for ref in refs) >= 10


@in_virtual_time
async def test_addresses_that_are_not_kept_are_dropped() -> None:
    queue = Queue()
    queue.add(ONE)
    queue.add(TWO, seconds=5)
    queue.add(THREE)
    assert await queue.get() == ONE
    queue.add(ONE)
    queue.keep(lambda ref: ref == THREE)
    assert [ref in queue for ref in (ONE, TWO, THREE)] == [True, False, True]
    queue.done(ONE)
    assert await queue.get() == THREE
    assert await stays_empty(queue)


# --- fair shares


def volumes(tenant: str, number: int) -> list[Ref]:
    return [Ref("block-storage", f"tenants/{tenant}/block-storages/{n}") for n in range(number)]


async def served(queue: Queue, number: int) -> list[Ref]:
    """The next addresses that one worker gets."""
    refs = []
    for _ in range(number):
        refs.append(await queue.get())
        queue.done(refs[-1])
    return refs


async def taken_at_once(queue: Queue) -> list[Ref]:
    """The addresses that workers get which never end, until they have to wait."""
    refs = list[Ref]()

    async def take() -> None:
        while True:
            refs.append(await queue.get())

    worker = asyncio.create_task(take())
    await asyncio.sleep(1)
    worker.cancel()
    return refs


@in_virtual_time
async def test_tenants_are_served_in_turn_however_many_addresses_one_has() -> None:
    queue = Queue()
    many, few = volumes("many", 1000), volumes("few", 3)
    for ref in (*many, *few):
        queue.add(ref)
    assert await served(queue, 6) == [many[0], few[0], many[1], few[1], many[2], few[2]]
    assert await served(queue, 997) == many[3:]


@in_virtual_time
async def test_a_creation_goes_before_removals_of_its_own_tenant_and_of_others() -> None:
    queue = Queue()
    for ref in (*volumes("a", 500), *volumes("b", 500)):
        queue.add(ref, background=True)
    await served(queue, 10)
    new = Ref("block-storage", "tenants/a/block-storages/new")
    queue.add(new)
    assert new in await served(queue, 2)


@in_virtual_time
async def test_removals_have_a_share_while_creations_wait() -> None:
    queue = Queue()
    for ref in volumes("creating", 1000):
        queue.add(ref)
    removals = volumes("removing", 1000)
    for ref in removals:
        queue.add(ref, background=True)
    first = await served(queue, 400)
    assert len(set(first) & set(removals)) == 100
    assert set(await served(queue, 1600)) | set(first) == {*volumes("creating", 1000), *removals}


@in_virtual_time
async def test_one_tenant_alone_leaves_workers_free() -> None:
    queue = Queue(workers=WORKERS)
    for ref in volumes("slow", 1000):
        queue.add(ref)
    assert len(await taken_at_once(queue)) == 12
    late = volumes("late", 100)
    for ref in late:
        queue.add(ref)
    assert await taken_at_once(queue) == late[:3]
    last = volumes("last", 1)[0]
    queue.add(last)
    assert await taken_at_once(queue) == [last]


@in_virtual_time
async def test_slow_removals_of_all_tenants_leave_half_of_the_workers_to_creations() -> None:
    queue = Queue(workers=WORKERS)
    for tenant in "abcdefgh":
        for ref in volumes(tenant, 100):
            queue.add(ref, background=True)
    assert len(await taken_at_once(queue)) == 8
    for ref in volumes("new", 100):
        queue.add(ref)
    assert len(await taken_at_once(queue)) == 6


@in_virtual_time
async def test_a_worker_that_ends_gives_its_place_to_one_that_had_to_wait() -> None:
    queue = Queue(workers=WORKERS)
    refs = volumes("slow", 20)
    for ref in refs:
        queue.add(ref)
    assert await taken_at_once(queue) == refs[:12]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.get())
        await asyncio.sleep(1)
        assert not waiting.done()
        queue.done(refs[5])
    assert waiting.result() == refs[12]


@in_virtual_time
async def test_an_address_keeps_the_more_urgent_class() -> None:
    queue = Queue()
    late, urgent = volumes("a", 2)
    queue.add(late, background=True)
    queue.add(urgent, background=True)
    queue.add(urgent, background=False)
    queue.add(urgent, background=True)
    assert await served(queue, 2) == [urgent, late]


@in_virtual_time
async def test_a_removal_that_is_added_again_during_its_work_stays_a_removal() -> None:
    queue = Queue()
    removal, creation = volumes("a", 2)
    queue.add(removal, background=True)
    await queue.get()
    queue.add(removal)
    queue.done(removal)
    queue.add(creation)
    assert await served(queue, 2) == [creation, removal]


@in_virtual_time
async def test_idle_workers_are_called_for_each_address_that_becomes_due() -> None:
    queue = Queue()
    got = list[tuple[Ref, float]]()

    async def work() -> None:
        while True:
            got.append((await queue.get(), now()))
            await asyncio.sleep(1000)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(4)]
        await asyncio.sleep(1)
        for ref, seconds in ((ONE, 5), (TWO, 7), (THREE, 7)):
            queue.add(ref, seconds=seconds)
        await asyncio.sleep(20)
        for worker in workers:
            worker.cancel()
    assert got == [(ONE, 6), (TWO, 8), (THREE, 8)]


@in_virtual_time
async def test_a_worker_that_is_cancelled_just_when_it_is_called_passes_the_call_on() -> None:
    queue = Queue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add(ONE)
    first.cancel()
    async with asyncio.timeout(1):
        assert await second == ONE


@in_virtual_time
async def test_each_tenants_first_address_tells_how_long_it_has_waited() -> None:
    queue = Queue()
    queue.add(volumes("a", 1)[0])
    queue.add(volumes("b", 1)[0], seconds=4, background=True)
    queue.add(volumes("c", 1)[0], seconds=60)
    await asyncio.sleep(10)
    assert queue.waits() == {"a": 10, "b": 6}
    assert queue.overdue_s == 10
    await served(queue, 2)
    assert queue.waits() == {}


@in_virtual_time
async def test_a_flood_of_one_tenant_delays_others_by_a_bounded_time() -> None:
    """Any mixture: no address is lost or with two workers, and the few addresses of each small
    tenant wait for no more than a few rounds of calls."""
    for seed in range(20):
        await _flooded(random.Random(seed))


async def _flooded(rng: random.Random) -> None:
    queue, together = Queue(workers=WORKERS), set[Ref]()
    added, waited = dict[Ref, float](), dict[Ref, float]()

    async def work() -> None:
        while True:
            ref = await queue.get()
            assert ref not in together
            together.add(ref)
            waited[ref] = now() - added[ref]
            await asyncio.sleep(rng.choice((0.1, 1.0)))
            together.discard(ref)
            queue.done(ref)

    def add(ref: Ref, *, background: bool) -> None:
        added[ref] = now()
        queue.add(ref, background=background)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(WORKERS)]
        for ref in volumes("flood", 600):
            add(ref, background=rng.random() < 0.5)
        small = [volumes(f"small-{n}", 5) for n in range(3)]
        for refs in small:
            await asyncio.sleep(rng.random() * 10)
            for ref in refs:
                add(ref, background=False)
        await asyncio.sleep(300)
        for worker in workers:
            worker.cancel()
    assert waited.keys() == added.keys()
    assert max(waited[ref] for refs in small for ref in refs) <= 4.0
