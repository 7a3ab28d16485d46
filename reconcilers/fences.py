"""Fences of this process's calls to the cloud (`plugins.plugin.Fence`), and the one place where
calls are made: nothing is sent after the end of the lease."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, TypeVar

from secaplane.plugins.plugin import Fence
from secaplane.reconcilers.leases.lease import LeaseLost

Answered = TypeVar("Answered")


def _always() -> None:
    """The check of a process that shares its work with no other."""


class FenceSource:
    """Issues the fences of one epoch, each greater than the one before, while `require` raises
    nothing. No call is made before `first_call_at`, in the time of the event loop: until then
    requests of a former holder may still reach a cloud that compares no fences."""

    def __init__(
        self, epoch: int, require: Callable[[], None] = _always, *, first_call_at: float = 0.0
    ) -> None:
        self.epoch, self.require = epoch, require
        self._numbers = count(1)
        self._first_call_at = first_call_at

    def next(self) -> Fence:
        """Raises LeaseLost if this process may not call the cloud now."""
        self.require()
        return Fence(self.epoch, next(self._numbers))

    async def call(self, make: Callable[[Fence], Coroutine[Any, Any, Answered]]) -> Answered:
        """Call the cloud with the next fence, as `guarded` describes. Raises LeaseLost."""
        await self.may_call()
        return await guarded(make(self.next()), self.require)

    async def may_call(self) -> None:
        """Wait for `first_call_at`."""
        if self._first_call_at:
            early_s = self._first_call_at - asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, early_s))


async def guarded(call: Coroutine[Any, Any, Answered], require: Callable[[], None]) -> Answered:
    """Await a call of the cloud. It is asked before each of its steps whether the lease still
    holds, and cancelled if not: a process that was stopped sends nothing more when it continues,
    also in the middle of a call. A plugin must therefore send its requests in the task that it is
    called in.

    Raises:
        LeaseLost: the lease was over before the call or during it; it may have had an effect.
    """
    steps = _GuardedSteps(call, require)
    try:
        answer = await steps
    except asyncio.CancelledError:
        if steps.lost is not None:
            raise steps.lost from None
        raise
    if steps.lost is not None:
        raise steps.lost
    return answer


class _GuardedSteps(Generator[Any, Any, Answered]):
    """The steps of a coroutine, each taken only if the check before it raises nothing. At the first
    that fails, the coroutine is cancelled once; it then ends without further checks."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Answered], require: Callable[[], None]
    ) -> None:
        self._coroutine, self._require = coroutine, require
        self.lost: LeaseLost | None = None

    def __await__(self) -> Generator[Any, Any, Answered]:
        return self

    def send(self, value: Any) -> Any:
        if self.lost is None:
            try:
                self._require()
            except LeaseLost as lost:
                self.lost = lost
                return self._coroutine.throw(asyncio.CancelledError())
        return self._coroutine.send(value)

    def throw(self, *raised: Any) -> Any:
        return self._coroutine.throw(*raised)

    def close(self) -> None:
        self._coroutine.close()
