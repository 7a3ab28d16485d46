"""Commands for one resource take turns within a process, so that they do not race each other."""

import asyncio
from collections import deque

from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref

WAIT_S_MAX = 2.0


class KeyedLock:
    """Whose turn it is at each resource, within this process: first come, first served."""

    def __init__(self) -> None:
        self._waiting: dict[Ref, deque[asyncio.Future[None]]] = {}

    async def acquire(self, ref: Ref) -> None:
        """Wait for the turn; whoever took it must `give` it on.

        Raises:
            Unavailable: it did not come in time.
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
                self.release(ref)  # it came while we were leaving
            if isinstance(error, TimeoutError):
                raise Unavailable("too many want to change this at once; try again") from error
            raise

    def release(self, ref: Ref) -> None:
        waiting = self._waiting[ref]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[ref]
