"""The work queue, on a virtual clock."""

import asyncio

from secaplane.model.shape import Ref
from secaplane.reconcilers.queue import Queue
from tests.virtual_time import in_virtual_time

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
