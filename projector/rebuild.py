"""Rebuild: a new read model of a group is filled from the beginning of the log, beside the one that
is read; then readers are switched to it. A half-filled one is dropped by the next rebuild
(docs/decisions/015)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from asyncpg import Connection

from secaplane.eventlog.log import Log
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.filling import Filling, filling
from secaplane.projector.projection import ProjectionGroup
from secaplane.readmodel import questions
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import (
    active,
    active_of_any_layout,
    connected,
    read_models,
    seconds_since_switch,
)
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import ADMIN_SCHEMA, Tx

CLOSE = 512
"""Events that may be missing in each stream when the live checkpoints are locked: few enough to be
written in that time."""
LOCKED_S_MAX = 4.0
"""Less than a projector waits for its statement."""
KILLED_S_MAX = 2.0
"""Seconds that PostgreSQL may take to notice that a rebuild was killed."""
SWITCHED_S = 5.0
"""Seconds after which all readers have switched to another read model."""
_LOCK = 0x5ECB


class ReadModelBusy(Exception):
    """Another process rebuilds or retires read models of the group, or has just done so."""


class Filled(NamedTuple):
    """Progress of a read model that is being filled, in all streams together."""

    events: int
    of: int
    """The events that the log had when it was last asked."""


Report = Callable[[Filled], object]


class Rebuilt(NamedTuple):
    read_model: str
    reached: Sequence[Position]
    """In each stream that has events."""
    took_s: float


async def rebuild(
    url: str,
    log: Log,
    group: ProjectionGroup,
    *,
    region: str,
    report: Report = lambda filled: None,
) -> Rebuilt:
    """Fill a new read model of a group from the beginning of the log, and switch readers to it.

    Raises:
        ReadModelBusy: another rebuild is under way.
        LogGap: a position is missing in the log.
    """
    await tables.prepare(url)
    async with _exclusive(url, group.tables) as connection:
        return await _rebuilt(connection, url, log, group, region, report)


async def first(
    url: str,
    log: Log,
    group: ProjectionGroup,
    *,
    region: str,
    report: Report = lambda filled: None,
) -> Rebuilt | None:
    """Fill a read model of the group's layout, if there is none. `report` is called after each
    batch.

    Raises:
        ReadModelBusy: another process does; try again.
    """
    await tables.prepare(url)
    async with connected(url) as connection:
        if await active(connection, group.tables) is not None:
            return None
    async with _exclusive(url, group.tables) as connection:
        if await active(connection, group.tables) is not None:  # since the question before the lock
            return None
        return await _rebuilt(connection, url, log, group, region, report)


async def retire(url: str, group: TableGroup) -> list[str]:
    """Drop every read model of a group but the active one; answers their names. Waits until readers
    have followed the last switch.

    Raises:
        ReadModelBusy: a rebuild is under way.
    """
    await tables.prepare(url)
    async with _exclusive(url, group) as connection:
        kept = await active(connection, group)
        if kept is None:
            return []
        await asyncio.sleep(max(0.0, SWITCHED_S - await seconds_since_switch(connection, group)))
        await connection.execute(
            f"delete from {ADMIN_SCHEMA}.active where projection_group = $1 and layout <> $2",
            group.name,
            group.layout,
        )
        retired = [name for name in await read_models(connection, group) if name != kept]
        for name in retired:
            await connection.execute(f"drop schema {name} cascade")
        return retired


async def switch(tx: Tx, group: TableGroup, read_model: str) -> None:
    """Name the active read model of the group's layout; its readers follow within a second."""
    await tx.execute(
        f"insert into {ADMIN_SCHEMA}.active (projection_group, layout, read_model)"
        " values ($1, $2, $3) on conflict (projection_group, layout)"
        " do update set read_model = excluded.read_model, since = now()",
        group.name,
        group.layout,
        read_model,
    )


@asynccontextmanager
async def _exclusive(url: str, group: TableGroup) -> AsyncIterator[Connection]:
    """A lock on a group's read models, which ends with its connection, so with its process, too.
    The lock of a killed process may last a moment longer; if the active read model has changed
    meanwhile, another process was at work."""
    async with connected(url) as connection:
        before = await active(connection, group)
        deadline = time.monotonic() + KILLED_S_MAX
        lock = "select pg_try_advisory_lock($1, hashtext($2))"
        while not await connection.fetchval(lock, _LOCK, group.name):
            if time.monotonic() > deadline:
                raise ReadModelBusy(
                    f"another process rebuilds or retires {group.name}; wait until it has ended"
                )
            await asyncio.sleep(0.05)
        if await active(connection, group) != before:
            raise ReadModelBusy(f"another process has just rebuilt {group.name}")
        yield connection


async def _rebuilt(
    connection: Connection,
    url: str,
    log: Log,
    group: ProjectionGroup,
    region: str,
    report: Report,
) -> Rebuilt:
    began = time.monotonic()
    former = await active(connection, group.tables)
    read_model = await _next(connection, group.tables)
    await tables.prepare(url, group.tables, read_model)
    pool = await tables.open_pool(url, schema=read_model, size=1, writes=True)
    try:
        async with AsyncExitStack() as stack:
            fillings, ends = list[Filling](), dict[str, int]()

            def batch_done() -> None:
                done = sum(each.position.sequence for each in fillings)
                report(Filled(done, max(done, sum(ends.values()))))

            for stream in log.streams.names:
                opened = filling(log, stream, {group: pool}, region=region, batch_done=batch_done)
                fillings.append(await stack.enter_async_context(opened))
            while await _behind(log, fillings, ends):
                for each in fillings:
                    await each.fill(await log.end(each.stream))
            await analyze(connection, read_model)
            async with connection.transaction():
                live = await _locked(connection, former) if former else {}
                async with asyncio.timeout(LOCKED_S_MAX):
                    for each in fillings:
                        live_at = live.get(each.stream, BEGINNING)
                        await each.fill(max(live_at, await log.end(each.stream)))
                    await switch(connection, group.tables, read_model)
        reached = [each.position for each in fillings if each.position]
        return Rebuilt(read_model, reached, time.monotonic() - began)
    finally:
        pool.terminate()


async def _behind(log: Log, fillings: Sequence[Filling], ends: dict[str, int]) -> bool:
    """True where more events are missing than can be written under the lock. `ends` gets the end of
    each stream."""
    for each in fillings:
        ends[each.stream] = (await log.end(each.stream)).sequence
    return any(ends[each.stream] > each.position.sequence + CLOSE for each in fillings)


async def analyze(connection: Connection, read_model: str) -> None:
    """So that queries are planned well from the first one on."""
    rows = await connection.fetch(
        "select tablename from pg_tables where schemaname = $1", read_model
    )
    for (name,) in rows:
        await connection.execute(f"analyze {read_model}.{name}")


async def _next(connection: Connection, group: TableGroup) -> str:
    """The name of the group's next read model; half-filled ones are dropped."""
    last = max(map(group.number, await active_of_any_layout(connection, group)), default=0)
    for name in await read_models(connection, group):
        if group.number(name) > last:
            await connection.execute(f"drop schema {name} cascade")
    return group.read_model(last + 1)


async def _locked(connection: Connection, read_model: str) -> Mapping[str, Position]:
    """The live checkpoints; they stay as they are until the transaction ends."""
    await connection.execute(f"set local search_path to {read_model}")
    return await questions.locked_checkpoints(connection)
