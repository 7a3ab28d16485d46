"""The active read model of a group, and the pool of a process that reads it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import asyncpg

from secaplane.readmodel.list_share import STATEMENT_S_MAX
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import ADMIN_SCHEMA, CONNECT_S_MAX, Tx, open_pool


class NoReadModel(Exception):
    """There is no read model of this layout yet: the projector has not filled it."""


async def active(connection: Tx | asyncpg.Pool, group: TableGroup) -> str | None:
    """The active read model of the layout that this release has."""
    name: str | None = await connection.fetchval(
        f"select read_model from {ADMIN_SCHEMA}.active where projection_group = $1 and layout = $2",
        group.name,
        group.layout,
    )
    return name


async def active_of_any_layout(connection: Tx, group: TableGroup) -> list[str]:
    rows = await connection.fetch(
        f"select read_model from {ADMIN_SCHEMA}.active where projection_group = $1", group.name
    )
    return [row[0] for row in rows]


async def read_models(connection: Tx | asyncpg.Pool, group: TableGroup) -> list[str]:
    """All read models of a group, half-filled ones too, in the order in which they were made."""
    rows = await connection.fetch(
        "select nspname from pg_namespace where nspname ~ $1", f"^{group.name}_[0-9]{{1,9}}$"
    )
    return sorted((row[0] for row in rows), key=group.number)


async def seconds_since_switch(connection: Tx, group: TableGroup) -> float:
    seconds: float = await connection.fetchval(
        f"select extract(epoch from now() - max(since))::float8 from {ADMIN_SCHEMA}.active"
        " where projection_group = $1",
        group.name,
    )
    return seconds


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """One connection, for work on the schemas themselves."""
    connection = await asyncpg.connect(url, timeout=CONNECT_S_MAX)
    try:
        yield connection
    finally:
        await connection.close()


async def find(url: str, group: TableGroup) -> str:
    """The active read model, asked over a connection of its own.

    Raises:
        NoReadModel: try again.
    """
    async with connected(url) as connection:
        # Without the question, the server logs an error where a process starts before its tables.
        made = await connection.fetchval("select to_regclass($1)", f"{ADMIN_SCHEMA}.active")
        name = await active(connection, group) if made else None
    if name is None:
        raise NoReadModel(f"there is no read model of {group.name}, layout {group.layout}, yet")
    return name


@asynccontextmanager
async def reading(url: str, group: TableGroup) -> AsyncIterator[asyncpg.Connection]:
    """A connection that reads the active read model of a group, for questions that are seldom
    asked.

    Raises:
        NoReadModel: there is none yet.
    """
    name = await find(url, group)
    async with connected(url) as connection:
        await connection.execute(f"set search_path to {name}")
        yield connection


class SwitchableConnection(asyncpg.Connection):
    """A connection that can be switched to another read model."""

    read_model = ""

    async def switch(self, read_model: str) -> None:
        await self.execute(f"set search_path to {read_model}")
        self.read_model = read_model


class PoolSizes(NamedTuple):
    """Connections of one process."""

    others: int = 4
    lists: int = 2


DEFAULT_SIZES = PoolSizes()


class ReadModelPool:
    """The pool through which a process reads one group, and the read model that it is switched to.
    A query that has begun ends on the read model where it began.

    A pool reads one group, so that a query has one position: rows of two groups may be at two.
    """

    pool: asyncpg.Pool
    lists: asyncpg.Pool
    """For lists alone (`readmodel.list_share`)."""

    def __init__(self, group: TableGroup, read_model: str) -> None:
        self.group, self.read_model = group, read_model

    def switch(self, read_model: str) -> None:
        """Every connection that is handed out from now on reads that read model."""
        self.read_model = read_model

    def terminate(self) -> None:
        self.pool.terminate()
        self.lists.terminate()

    async def prepare(self, connection: Any) -> None:
        while connection.read_model != self.read_model:
            await connection.switch(self.read_model)


async def open_read_model_pool(
    url: str,
    group: TableGroup,
    *,
    sizes: PoolSizes = DEFAULT_SIZES,
    writes: bool = False,
    lost: Callable[[], object] = lambda: None,
) -> ReadModelPool:
    """A pool on the active read model; `lost` is called whenever one of its connections has ended.

    Raises:
        NoReadModel: there is none of this layout yet.
    """

    def ended(connection: Any) -> None:
        lost()

    async def watch(connection: asyncpg.Connection) -> None:
        connection.add_termination_listener(ended)

    reading = ReadModelPool(group, await find(url, group))
    opened = partial(
        open_pool,
        url,
        schema=reading.read_model,
        connection_class=SwitchableConnection,
        setup=reading.prepare,
        init=watch,
    )
    reading.pool = await opened(size=sizes.others, writes=writes)
    reading.lists = await opened(size=sizes.lists, statement_s_max=STATEMENT_S_MAX)
    return reading
