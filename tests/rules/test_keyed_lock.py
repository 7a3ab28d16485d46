"""The keyed lock: one command at a time for each resource, first come, first served."""

import asyncio

import pytest

from secaplane.command.keyed_lock import WAIT_S_MAX, KeyedLock
from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref
from tests.virtual_time import in_virtual_time

ONE, TWO = (Ref("instance", name) for name in ("one", "two"))


def now() -> float:
    return asyncio.get_running_loop().time()


async def let_others_run() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class Commands:
    """Commands that hold the lock of a resource until they may finish."""

    def __init__(self) -> None:
        self.lock = KeyedLock()
        self.started: list[str] = []
        self.finish = asyncio.Event()

    async def run(self, name: str, ref: Ref = ONE) -> None:
        await self.lock.acquire(ref)
        try:
            self.started.append(name)
            await self.finish.wait()
        finally:
            self.lock.release(ref)


@in_virtual_time
async def test_waiters_get_the_lock_in_the_order_in_which_they_came() -> None:
    commands = Commands()
    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(commands.run(name))
        await let_others_run()
        assert commands.started == ["first"]
        commands.finish.set()
    assert commands.started == ["first", "second", "third"]
    assert now() == 0


@in_virtual_time
async def test_a_lock_of_one_resource_does_not_hold_up_another() -> None:
    commands = Commands()
    async with asyncio.TaskGroup() as group:
        group.create_task(commands.run("one", ONE))
        group.create_task(commands.run("two", TWO))
        await let_others_run()
        assert commands.started == ["one", "two"]
        commands.finish.set()


@in_virtual_time
async def test_a_waiter_that_is_cancelled_is_passed_over() -> None:
    commands = Commands()
    async with asyncio.TaskGroup() as group:
        group.create_task(commands.run("first"))
        cancelled = group.create_task(commands.run("cancelled"))
        group.create_task(commands.run("last"))
        await let_others_run()
        cancelled.cancel()
        await let_others_run()
        commands.finish.set()
    assert commands.started == ["first", "last"]


@in_virtual_time
async def test_a_waiter_that_is_cancelled_when_it_gets_the_lock_hands_it_on() -> None:
    lock = KeyedLock()
    await lock.acquire(ONE)
    cancelled, next_one = (asyncio.create_task(lock.acquire(ONE)) for _ in range(2))
    await let_others_run()
    lock.release(ONE)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await next_one
    assert now() == 0
    lock.release(ONE)
    await lock.acquire(ONE)


@in_virtual_time
async def test_a_waiter_is_refused_after_its_longest_wait() -> None:
    lock = KeyedLock()
    await lock.acquire(ONE)
    with pytest.raises(Unavailable, match="too many concurrent changes"):
        await lock.acquire(ONE)
    assert now() == WAIT_S_MAX
    lock.release(ONE)
    await lock.acquire(ONE)
    assert now() == WAIT_S_MAX
