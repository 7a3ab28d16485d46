"""Which read model is active, and the one pool of a process that goes where that is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from secaplane.readmodel.schema.tables import (
    ADMIN_SCHEMA,
    CONNECT_S_MAX,
    LAYOUT,
    PREFIX,
    Tx,
    open_pool,
)


class NoReadModel(Exception):
    """There is none of this layout yet: its projector has not made it, or is filling it."""


async def active(connection: Tx | asyncpg.Pool) -> str | None:
    """The active read model of this release's layout."""
    name: str | None = await connection.fetchval(
        f"select read_model from {ADMIN_SCHEMA}.active where layout = $1", LAYOUT
    )
    return name


async def active_of_any_layout(connection: Tx) -> list[str]:
    rows = await connection.fetch(f"select read_model from {ADMIN_SCHEMA}.active")
    return [row[0] for row in rows]


async def read_models(connection: Tx | asyncpg.Pool) -> list[str]:
    """All there are, half-made ones too, in the order in which they were made."""
    rows = await connection.fetch(
        "select nspname from pg_namespace where nspname ~ $1", f"^{PREFIX}[0-9]{{1,9}}$"
    )
    return sorted((row[0] for row in rows), key=number)


async def settled_for(connection: Tx) -> float:
    """Seconds since the last switch."""
    seconds: float = await connection.fetchval(
        f"select extract(epoch from now() - max(since))::float8 from {ADMIN_SCHEMA}.active"
    )
    return seconds


def number(read_model: str) -> int:
    return int(read_model.removeprefix(PREFIX))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """For who works on the schemas themselves."""
    connection = await asyncpg.connect(url, timeout=CONNECT_S_MAX)
    try:
        yield connection
    finally:
        await connection.close()


async def find(url: str) -> str:
    """The active read model, for who has no pool yet.

    Raises:
        NoReadModel: try again.
    """
    async with connected(url) as connection:
        name = await active(connection)
    if name is None:
        raise NoReadModel(f"there is no read model of layout {LAYOUT} yet")
    return name


class SwitchableConnection(asyncpg.Connection):
    """A connection that can be turned to another read model."""

    looks_at = ""

    async def look_at(self, read_model: str) -> None:
        await self.execute(f"set search_path to {read_model}")
        self.looks_at = read_model


class ReadModelPool:
    """What a process reads: one pool that everybody there holds, and the read model it is turned
    to. A question that has begun ends where it began."""

    pool: asyncpg.Pool

    def __init__(self, read_model: str) -> None:
        self.read_model = read_model

    def turn(self, read_model: str) -> None:
        """Every connection that is handed out from now on looks there."""
        self.read_model = read_model

    async def turned(self, connection: Any) -> None:
        while connection.looks_at != self.read_model:
            await connection.look_at(self.read_model)


async def open_read_model_pool(url: str, *, size: int = 4, writes: bool = False) -> ReadModelPool:
    """Raises NoReadModel where there is none of this layout yet."""
    reading = ReadModelPool(await find(url))
    reading.pool = await open_pool(
        url,
        schema=reading.read_model,
        size=size,
        writes=writes,
        connection_class=SwitchableConnection,
        setup=reading.turned,
    )
    return reading
