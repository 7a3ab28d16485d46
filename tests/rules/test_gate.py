"""The gate of the reconcilers: how many are inside, and in which order they enter."""

import asyncio
from collections.abc import Sequence

from secaplane.reconcilers.gate import Gate

STEPS = 5
"""Turns of the event loop that a task needs at most to enter or to leave."""


class Visitors:
    """Tasks that enter a gate, and stay inside until they are released."""

    def __init__(self, most: int) -> None:
        self.gate, self.entered, self._leave = Gate(most), list[str](), asyncio.Semaphore(0)
        self._tasks = dict[str, asyncio.Task[None]]()

    async def come(self, names: Sequence[str], *, background: bool = False) -> None:
        for name in names:
            self._tasks[name] = asyncio.create_task(self._visit(name, background))
        await _steps()

    async def _visit(self, name: str, background: bool) -> None:
        async with self.gate.entrance(background=background):
            self.entered.append(name)
            await self._leave.acquire()

    async def leave(self, count: int = 1) -> None:
        """For each that leaves, the next one enters."""
        for _ in range(count):
            self._leave.release()
            await _steps()

    async def give_up(self, name: str) -> None:
        self._tasks[name].cancel()
        await _steps()


async def _steps() -> None:
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def test_no_more_than_the_bound_are_inside() -> None:
    visitors = Visitors(2)
    await visitors.come(["a", "b", "c"])
    assert visitors.entered == ["a", "b"]
    await visitors.leave()
    assert visitors.entered == ["a", "b", "c"]


async def test_a_creation_enters_before_the_removals_that_wait() -> None:
    visitors = Visitors(1)
    await visitors.come(["r1", "r2", "r3"], background=True)
    await visitors.come(["create"])
    await visitors.leave(2)
    assert visitors.entered == ["r1", "create", "r2"]


async def test_removals_have_every_fourth_turn_while_creations_wait() -> None:
    visitors = Visitors(1)
    await visitors.come(["first"])
    await visitors.come(["r1", "r2"], background=True)
    await visitors.come([f"c{n}" for n in range(6)])
    await visitors.leave(8)
    assert visitors.entered == ["first", "c0", "c1", "c2", "r1", "c3", "c4", "c5", "r2"]


async def test_one_that_gives_up_leaves_its_turn_to_the_next() -> None:
    visitors = Visitors(1)
    await visitors.come(["a", "b", "c"])
    await visitors.give_up("b")
    await visitors.leave()
    assert visitors.entered == ["a", "c"]
    await visitors.leave()
    await visitors.come(["d"])
    assert visitors.entered == ["a", "c", "d"]


async def test_one_that_is_cancelled_when_its_turn_has_come_passes_it_on() -> None:
    visitors = Visitors(1)
    await visitors.come(["a", "b", "c"])
    visitors.gate.leave()
    await visitors.give_up("b")
    assert visitors.entered == ["a", "c"]
