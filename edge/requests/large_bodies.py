"""Large bodies of one process: bounded in number while they arrive, and while they are worked on.

A body of 1 MiB can become objects of 30 MB, and costs the event loop some hundred milliseconds
besides the thread that parses it. So few are worked on at once, and others wait for their turn. A
body counts as large while its size is not announced; small ones pass without a count.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from secaplane.edge.requests.beside_loop import LARGE_BYTES
from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import RateLimited, Unavailable
from secaplane.policy.tokens.caller import Caller

ARRIVING_MAX, ARRIVING_OF_CALLER_MAX = 64, 16
"""Large bodies that arrive or wait at once: 64 MiB with the default limit of a body."""
TURNS = 2
"""Large bodies that are worked on at once: one is parsed while another one waits for the log."""
TURN_S_MAX = 20.0


class ReadableBody(Protocol):
    """A request, whose body arrives while it is read."""

    async def body(self) -> bytes: ...


class LargeBodies:
    def __init__(self, *, turn_s: float = TURN_S_MAX) -> None:
        self._by_caller: Counter[tuple[str, str]] = Counter()
        self._turns, self._turn_s = asyncio.Semaphore(TURNS), turn_s

    @asynccontextmanager
    async def read(
        self, request: ReadableBody, context: RequestContext, caller: Caller
    ) -> AsyncIterator[bytes]:
        """The body of an admitted request; the caller's work on it is done inside.

        Raises:
            RateLimited: the caller sends too many large bodies at once.
            Unavailable: all callers together do, or the body had no turn in time.
        """
        if context.announced_bytes <= LARGE_BYTES:
            yield await request.body()
            return
        with self._arriving(caller):
            data = await request.body()
            if len(data) > LARGE_BYTES:
                async with self.worked_on(len(data)):
                    yield data
                return
        yield data

    @asynccontextmanager
    async def worked_on(self, size: int) -> AsyncIterator[None]:
        """A turn to work on a body of that size that is here already; a small one needs none.

        Raises:
            Unavailable: it had no turn in time.
        """
        if size <= LARGE_BYTES:
            yield
            return
        await self._turn()
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _arriving(self, caller: Caller) -> Iterator[None]:
        key = (caller.issuer, caller.sub)
        if self._by_caller[key] >= ARRIVING_OF_CALLER_MAX:
            raise RateLimited(
                f"you send more than {ARRIVING_OF_CALLER_MAX} bodies over {LARGE_BYTES} bytes at"
                " once; send fewer"
            )
        if self._by_caller.total() >= ARRIVING_MAX:
            raise Unavailable("too many large bodies are sent at once; try again")
        self._by_caller[key] += 1
        try:
            yield
        finally:
            self._by_caller[key] -= 1
            if not self._by_caller[key]:
                del self._by_caller[key]

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._turn_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Unavailable("other large bodies are worked on; try again") from error
