"""The share of history in the database: connections of their own, snapshots whose checkpoints are
read in them, and a bounded time for each request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
from asyncpg import Pool

from secaplane.model.errors import Unavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.readmodel.list_share import BEHIND
from secaplane.readmodel.progress import REACHED_S_MAX
from secaplane.readmodel.schema.checkpoints import checkpoints
from secaplane.readmodel.schema.tables import Tx

HISTORY_S_MAX = 4.5
"""A request together with its waits; PostgreSQL ends one statement earlier (`list_share`)."""
POLL_S, POLL_S_MAX = 0.02, 0.2
"""No announcement says how far history is: it is asked, and less often while it stands still. It
follows the log within 0.1 s or so."""
NOT_FILLED = "the history is not filled yet; try again"
TOO_LONG = "the history took too long: ask for less of it, or try again later"

Reached = Callable[[Tx], Awaitable[bool]]


async def any_rows(tx: Tx) -> bool:
    return True


class HistoryShare:
    def __init__(self, pool: Callable[[], Pool | None]) -> None:
        """`pool`: on the active read model of the group `history`; None while there is none."""
        self._pool = pool

    @asynccontextmanager
    async def snapshot(
        self, at_least: Sequence[Position], also: Reached = any_rows
    ) -> AsyncIterator[Tx]:
        """A transaction that reads one snapshot, whose rows have reached some positions, and in
        which `also` answers True.

        Raises:
            Unavailable: they have not within a bounded time, or the request took too long.
        """
        pool, loop = self._pool(), asyncio.get_running_loop()
        if pool is None:
            raise Unavailable(NOT_FILLED)
        until, pause_s = loop.time() + REACHED_S_MAX, POLL_S
        try:
            async with asyncio.timeout(HISTORY_S_MAX):
                while True:
                    async with (
                        pool.acquire() as connection,
                        connection.transaction(isolation="repeatable_read", readonly=True),
                    ):
                        if await _reached(connection, at_least) and await also(connection):
                            yield connection
                            return
                    if loop.time() > until:
                        raise Unavailable(BEHIND)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, POLL_S_MAX)
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise Unavailable(TOO_LONG) from error


async def _reached(connection: Tx, at_least: Sequence[Position]) -> bool:
    reached = await checkpoints(connection)
    return all(reached.get(each.stream, BEGINNING) >= each for each in at_least)
