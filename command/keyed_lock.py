"""A lock for each resource, so that commands of one process do not conflict with each other."""

import asyncio
from collections import deque

from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref

WAIT_S_MAX = 2.0


class KeyedLock:
    """One lock for each resource: first come, first served."""

    def __init__(self) -> None:
        self._waiting: dict[Ref, deque[asyncio.Future[None]]] = {}

    async def acquire(self, ref: Ref) -> None:
        """Wait for the lock; it must be released afterwards.

        Raises:
            Unavailable: it was not free in WAIT_S_MAX seconds.
        """
        waiting = self._waiting.get(ref)
        if waiting is None:
            self._waiting[ref] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(ref)  # the lock was handed over just when this waiter was cancelled
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    "too many concurrent changes of the resource; try again"
                ) from error
            raise

    def release(self, ref: Ref) -> None:
        """Hand the lock to the next waiter."""
        waiting = self._waiting[ref]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[ref]
