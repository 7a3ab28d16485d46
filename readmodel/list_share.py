"""The share of lists in the database: connections of their own, so that a GET by name never waits
behind lists, and a bounded time for each.

Lists that scan take all but one of these connections: a list in the order of an index never waits
behind scans. After each scan its connection rests for as long as the scan took, so that scans take
at most half of a processor each.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext

import asyncpg
from asyncpg import Pool

from secaplane.model.errors import Unavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.readmodel.schema.checkpoints import checkpoints
from secaplane.readmodel.schema.tables import Tx

STATEMENT_S_MAX = 3.0
"""PostgreSQL ends a statement of a list that takes longer."""
LIST_S_MAX = 4.5
"""A list together with its wait for a connection."""
TOO_LONG = (
    "the list took too long: select by key=value, without *, or by fewer terms; or try again later"
)


BEHIND = "the read model has not reached this position yet; try again"


class ListShare:
    def __init__(
        self, pool: Pool, *, connections: int, streaming: Callable[[], bool] = lambda: False
    ) -> None:
        """`pool` has that many connections, and is used for lists alone. `streaming`: True where
        they lead to streaming replicas of PostgreSQL."""
        self._pool, self._streaming = pool, streaming
        self._scans = asyncio.Semaphore(max(1, connections - 1))

    @asynccontextmanager
    async def rows(
        self, *, scans: bool, at_least: Sequence[Position] = ()
    ) -> AsyncIterator[Pool | Tx]:
        """A pool or connection for the queries of one list, whose rows have reached some positions:
        the caller has waited for them. `scans`: it may read many rows that it does not answer.

        Raises:
            Unavailable: the list took too long, no connection became free in time, or the rows have
            not reached a position.
        """
        try:
            async with asyncio.timeout(LIST_S_MAX), self._scan() if scans else nullcontext():
                if at_least and self._streaming():
                    async with self._snapshot(at_least) as connection:
                        yield connection
                else:
                    yield self._pool
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise Unavailable(TOO_LONG) from error

    @asynccontextmanager
    async def _snapshot(self, at_least: Sequence[Position]) -> AsyncIterator[Tx]:
        """A snapshot whose checkpoints were read in it."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            reached = await checkpoints(connection)
            if any(reached.get(each.stream, BEGINNING) < each for each in at_least):
                raise Unavailable(BEHIND)
            yield connection

    @asynccontextmanager
    async def _scan(self) -> AsyncIterator[None]:
        await self._scans.acquire()
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            asyncio.get_running_loop().call_later(took, self._scans.release)
