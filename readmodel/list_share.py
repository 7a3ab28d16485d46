"""The share of lists in the database: connections of their own, so that a GET by name never waits
behind lists, and a bounded time for each.

Lists that scan take all but one of these connections: a list in the order of an index never waits
behind scans. After each scan its connection rests for as long as the scan took, so that scans take
at most half of a processor each.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import asyncpg
from asyncpg import Pool

from secaplane.model.errors import Unavailable

STATEMENT_S_MAX = 3.0
"""PostgreSQL ends a statement of a list that takes longer."""
LIST_S_MAX = 4.5
"""A list together with its wait for a connection."""
TOO_LONG = (
    "the list took too long: select by key=value, without *, or by fewer terms; or try again later"
)


class ListShare:
    def __init__(self, pool: Pool, *, connections: int) -> None:
        """`pool` has that many connections, and is used for lists alone."""
        self._pool = pool
        self._scans = asyncio.Semaphore(max(1, connections - 1))

    @asynccontextmanager
    async def pool(self, *, scans: bool) -> AsyncIterator[Pool]:
        """The pool for the queries of one list. `scans`: it may read many rows that it does not
        answer.

        Raises:
            Unavailable: the list took too long, or no connection became free in time.
        """
        try:
            async with asyncio.timeout(LIST_S_MAX), self._scan() if scans else nullcontext():
                yield self._pool
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise Unavailable(TOO_LONG) from error

    @asynccontextmanager
    async def _scan(self) -> AsyncIterator[None]:
        await self._scans.acquire()
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            asyncio.get_running_loop().call_later(took, self._scans.release)
