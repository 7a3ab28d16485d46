"""The database that a replay fills: empty at first, and marked, so that no process takes it for a
replica and an interrupted replay finds it again (docs/decisions/065)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from asyncpg import Connection

from secaplane.model.position import newest, parse_all, written
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.rebuild import KILLED_S_MAX, switch
from secaplane.projector.replay.until import Positions
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import connected
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import ADMIN_SCHEMA

_LOCK = 0x5ECC
MARK = f"""
create table {ADMIN_SCHEMA}.replay (
    single    boolean primary key default true check (single),
    until     text    collate "C" not null, -- as the operator wrote it
    positions text    collate "C" not null, -- in each stream that has events until then
    release   text    collate "C" not null, -- the layouts of the groups
    finished  boolean not null default false
);
"""
_HOLDS = """
select n.nspname || '.' || c.relname from pg_class as c join pg_namespace as n
    on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and c.relkind in ('r', 'p', 'v', 'm')
order by 1 limit 1
"""


class NotEmpty(Exception):
    """The database holds something else than an interrupted replay of the same kind."""


class ReplayBusy(Exception):
    """Another process replays into the database, or checks it."""


class MarkedDatabase(NamedTuple):
    """A database that is marked for one replay."""

    positions: Positions
    finished: bool
    """An earlier run has filled it."""


def release(groups: Sequence[TableGroup]) -> str:
    """The layouts of some groups with their digests: rows of equal ones are interchangeable."""
    return ", ".join(f"{each.name} {each.layout} {each.digest}".strip() for each in groups)


@asynccontextmanager
async def exclusive(url: str, what: str) -> AsyncIterator[Connection]:
    """A lock, which ends with its connection, so with its process, too. PostgreSQL may need some
    time to notice that a process was killed.

    Raises:
        ReplayBusy: another process has it.
    """
    async with connected(url) as connection:
        deadline = time.monotonic() + KILLED_S_MAX
        lock = "select pg_try_advisory_lock($1, hashtext($2))"
        while not await connection.fetchval(lock, _LOCK, what):
            if time.monotonic() > deadline:
                raise ReplayBusy(f"another process is at work on {what}; wait until it has ended")
            await asyncio.sleep(0.05)
        yield connection


async def claim(
    connection: Connection,
    until: str,
    groups: Sequence[TableGroup],
    resolve: Callable[[], Awaitable[Positions]],
) -> MarkedDatabase:
    """Mark an empty database for a replay, or find the mark of the same one.

    Raises:
        NotEmpty: it holds a replica, another replay, or anything else.
    """
    marked = await connection.fetchval("select to_regclass($1)", f"{ADMIN_SCHEMA}.replay")
    if marked:
        return await _interrupted(connection, until, groups)
    held = await connection.fetchval(_HOLDS)
    if held is not None:
        raise NotEmpty(
            f"the database is not empty: it holds {await _replica(connection) or held};"
            " create another one for the replay"
        )
    positions = await resolve()
    async with connection.transaction():
        await connection.execute(tables.ACTIVE)
        await connection.execute(MARK)
        # no configuration can name it: no projector adopts the database, no query reads it
        await connection.execute(
            f"insert into {ADMIN_SCHEMA}.replica (name) values ($1)", f"replay of {until}"
        )
        await connection.execute(
            f"insert into {ADMIN_SCHEMA}.replay (until, positions, release) values ($1, $2, $3)",
            until,
            written(newest(positions.values())),
            release(groups),
        )
    return MarkedDatabase(positions, finished=False)


async def _interrupted(
    connection: Connection, until: str, groups: Sequence[TableGroup]
) -> MarkedDatabase:
    row = await connection.fetchrow(
        f"select until, positions, release, finished from {ADMIN_SCHEMA}.replay"
    )
    if row is None or row[0] != until:
        raise NotEmpty(
            f"the database holds the replay of {row[0] if row else 'another time'};"
            " create another one for this replay"
        )
    if row[2] != release(groups):
        raise NotEmpty(
            "the database holds a replay that a release with other tables began;"
            " create another one for this replay"
        )
    positions = parse_all(row[1]) if row[1] else ()
    return MarkedDatabase({each.stream: each for each in positions}, row[3])


async def _replica(connection: Connection) -> str:
    """The replica that a database holds; empty if it holds none."""
    table = f"{ADMIN_SCHEMA}.replica"
    if not await connection.fetchval("select to_regclass($1)", table):
        return ""
    name = await connection.fetchval(f"select name from {table}")
    return f"the replica {name}" if name else ""


async def finish(connection: Connection, groups: Sequence[ProjectionGroup]) -> None:
    """From now on the database is a complete replay; its read models are found as active ones."""
    async with connection.transaction():
        for each in groups:
            await switch(connection, each.tables, each.tables.first)
        await connection.execute(f"update {ADMIN_SCHEMA}.replay set finished = true")
