"""The check of live rows against the log: the same rows are made again beside them, up to the same
position, and compared one by one (docs/decisions/065)."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from asyncpg import Connection, Pool

from secaplane.eventlog.log import Log
from secaplane.eventlog.monotonic import end_reaching
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.filling import Filling, filling
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.rebuild import CLOSE, Filled, Report, analyze
from secaplane.projector.replay import target
from secaplane.projector.replay.comparison import Key, Tally, differences, explained
from secaplane.projector.replay.rows import CANONICAL, Table, one, parts, tables_of
from secaplane.projector.run import LogGap
from secaplane.readmodel import questions
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import NoReadModel, active, connected


class RowDiffers(NamedTuple):
    """A row of a live table that is not as the log says."""

    table: str
    key: str
    how: str


IsExpected = Callable[[str, Key], Awaitable[bool]]
"""(table, key) -> a row that only one of both sides has is no difference."""


async def none_is_expected(table: str, key: Key) -> bool:
    return False


class CheckedTable(NamedTuple):
    name: str
    rows: int
    """Of the live table."""
    digest: str
    """SHA-256 of the digests of its rows, in the order of their keys."""
    differ: int


class Checked(NamedTuple):
    read_model: str
    positions: Sequence[Position]
    """In each stream that has rows: of the live ones, and of those that were made again."""
    tables: Sequence[CheckedTable]
    took_s: float

    @property
    def differ(self) -> int:
        return sum(each.differ for each in self.tables)


class Check:
    """The check of one group's active read model."""

    def __init__(
        self,
        url: str,
        events: Log,
        group: ProjectionGroup,
        *,
        region: str,
        report: Report,
        is_expected: IsExpected = none_is_expected,
    ) -> None:
        self._is_expected = is_expected
        self._url, self._log, self._group = url, events, group
        self._region, self._report = region, report
        self._beside = f"replayed_{group.name}"
        """No projector, rebuild or retirement knows a schema of that name."""
        self._of = 0

    async def run(self, found: Callable[[RowDiffers], object]) -> Checked:
        """Compare every row; `found` is called for each that differs. What an interrupted run has
        filled is used by the next one.

        Raises:
            NoReadModel: there is no active read model of this layout.
            ReplayBusy: another process checks the group.
            LogGap: a position is missing in the log, or the rows are ahead of it.
        """
        began = time.monotonic()
        async with target.exclusive(self._url, f"the check of {self._group.name}") as connection:
            read_model = await active(connection, self._group.tables)
            if read_model is None:
                raise NoReadModel(f"there is no read model of {self._group.name} to check")
            await self._prepare(connection)
            async with self._filled(connection, read_model) as snapshot:
                await analyze(connection, self._beside)
                positions = await questions.checkpoints(snapshot)
                compared = await self._compared(snapshot, connection, read_model, found)
            await connection.execute(f"drop schema {self._beside} cascade")
        reached = [each for each in positions.values() if each]
        return Checked(read_model, reached, compared, time.monotonic() - began)

    async def _prepare(self, connection: Connection) -> None:
        """The tables beside the live ones: those of an interrupted check, if this release would
        fill them with the same rows."""
        release = target.release([self._group.tables])
        made_by = await connection.fetchval(
            "select obj_description(oid) from pg_namespace where nspname = $1", self._beside
        )
        if made_by != release:
            await connection.execute(f"drop schema if exists {self._beside} cascade")
            await tables.prepare(self._url, self._group.tables, self._beside)
            await connection.execute(f"comment on schema {self._beside} is '{release}'")

    @asynccontextmanager
    async def _filled(self, connection: Connection, read_model: str) -> AsyncIterator[Connection]:
        """A snapshot of the live rows; those beside them have reached its checkpoints. The snapshot
        is taken when few events are missing, so that it is held for the comparison alone."""
        async with AsyncExitStack() as stack:
            pool = await tables.open_pool(self._url, schema=self._beside, size=1, writes=True)
            stack.callback(pool.terminate)
            fillings = await self._fillings(stack, pool)
            while await self._behind(connection, read_model, fillings):
                pass
            snapshot = await stack.enter_async_context(_snapshot(self._url, read_model))
            for each in fillings:
                live = await questions.checkpoint(snapshot, each.stream)
                await self._fill(each, live)
            yield snapshot

    async def _fillings(self, stack: AsyncExitStack, pool: Pool) -> Sequence[Filling]:
        fillings = list[Filling]()

        def batch_done() -> None:
            self._report(Filled(sum(each.position.sequence for each in fillings), self._of))

        for stream in self._log.streams.names:
            opened = filling(
                self._log, stream, {self._group: pool}, region=self._region, batch_done=batch_done
            )
            fillings.append(await stack.enter_async_context(opened))
        return fillings

    async def _behind(
        self, connection: Connection, read_model: str, fillings: Sequence[Filling]
    ) -> bool:
        """Fill up to the live checkpoints; True where many events were missing, so that more may
        be missing now."""
        live = await _checkpoints(connection, read_model)
        self._of = sum(each.sequence for each in live.values())
        behind = False
        for each in fillings:
            up_to = live.get(each.stream, BEGINNING)
            behind |= up_to.sequence > each.position.sequence + CLOSE
            await self._fill(each, up_to)
        return behind

    async def _fill(self, one_stream: Filling, up_to: Position) -> None:
        """Raises LogGap where the log ends before the live rows."""
        end = await end_reaching(self._log, one_stream.stream, up_to)
        if end < up_to:
            raise LogGap(f"the log ends at {end}, and the rows are at {up_to}")
        await one_stream.fill(up_to)

    async def _compared(
        self,
        snapshot: Connection,
        connection: Connection,
        read_model: str,
        found: Callable[[RowDiffers], object],
    ) -> Sequence[CheckedTable]:
        compared = []
        async with connection.transaction(readonly=True):
            for each in CANONICAL:
                await connection.execute(each)
            for table in await tables_of(connection, self._beside):
                live = _Side(snapshot, read_model, table)
                replayed = _Side(connection, self._beside, table)
                compared.append(await _compared_table(live, replayed, found, self._is_expected))
        return compared


class _Side(NamedTuple):
    """A table of one of two read models."""

    connection: Connection
    read_model: str
    table: Table


async def _compared_table(
    live: _Side,
    replayed: _Side,
    found: Callable[[RowDiffers], object],
    is_expected: IsExpected,
) -> CheckedTable:
    tally, differ, table = Tally(), 0, live.table
    async for each in differences(parts(*live), parts(*replayed), tally):
        if each.live != each.replayed and await is_expected(table.name, each.key):
            continue
        mine = await one(*live, each.key) if each.live else None
        other = await one(*replayed, each.key) if each.replayed else None
        found(RowDiffers(table.name, table.key_of(each.key), explained(mine, other)))
        differ += 1
    return CheckedTable(table.name, tally.rows, tally.digest, differ)


async def _checkpoints(connection: Connection, read_model: str) -> Mapping[str, Position]:
    await connection.execute(f"set search_path to {read_model}")
    return await questions.checkpoints(connection)


@asynccontextmanager
async def _snapshot(url: str, read_model: str) -> AsyncIterator[Connection]:
    """A connection that sees the live tables as they are now, until it is closed. Writers are not
    held up; a retirement of the read model is."""
    async with connected(url) as connection:
        for each in CANONICAL:
            await connection.execute(each)
        await connection.execute(f"set search_path to {read_model}")
        names = [f"{read_model}.{each.name}" for each in await tables_of(connection, read_model)]
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"lock table {', '.join(names)} in access share mode")
            yield connection
