"""The questions asked of the tables, each with a name."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from model.shape import Position, Ref, Resource
from readmodel.tables import Tx

decode_resource = msgspec.json.Decoder(Resource).decode


class Row(msgspec.Struct, frozen=True):
    """One line of a list: the document, and where the next page goes on."""

    document: str
    name: str
    life: int


async def quarantined(pool: Pool, ref: Ref) -> bool:
    found = await pool.fetchval(
        "select true from quarantine where kind = $1 and path = $2", ref.kind, ref.path
    )
    return bool(found)


async def page(
    pool: Pool,
    kind: str,
    collection: str,
    *,
    after: tuple[str, int],
    limit: int,
    deleted: bool | None,
    condition: str = "",
    arguments: Sequence[object] = (),
) -> list[Row]:
    """A page of a collection in the order (name, life).

    `deleted`: False only what is not, True only what is (gone or going), None both. `condition` is
    SQL from `query.labels` over `labels`, whose arguments begin at $6.
    """
    life = {False: "and not gone and not deleted", True: "and deleted", None: ""}[deleted]
    rows = await pool.fetch(
        f"""
        select document, name, life from resources
        where kind = $1 and collection = $2 and (name, life) > ($3, $4) {life} {condition}
        order by name, life limit $5
        """,
        kind,
        collection,
        *after,
        limit,
        *arguments,
    )
    return [Row(*row) for row in rows]


async def below(
    pool: Pool, kinds: Sequence[str], path: str, *, going_too: bool, limit: int
) -> list[Ref]:
    """What lies in a resource and is not gone; with `going_too` also what is on its way."""
    rows = await pool.fetch(
        """
        select kind, path from resources
        where kind = any($1) and not gone and ($4 or not deleted) and path > $2 and path < $3
        order by kind, path limit $5
        """,
        list(kinds),
        f"{path}/",
        f"{path}0",  # the character after the slash: whatever begins with the path and a slash
        going_too,
        limit,
    )
    return [Ref(*row) for row in rows]


async def checkpoint(connection: Tx | Pool, projection: str, stream: str) -> Position:
    position = await connection.fetchval(
        "select position from checkpoints where projection = $1 and stream = $2",
        projection,
        stream,
    )
    return Position(position or 0)


async def unfinished(pool: Pool, stream: str) -> tuple[list[Ref], Position]:
    """What reconcilers begin with, and the position it holds at: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(
            "select kind, path from resources where unfinished order by life"
        )
        return [Ref(*row) for row in rows], await checkpoint(connection, "resources", stream)


async def living_of(
    pool: Pool, kinds: Sequence[str], stream: str
) -> tuple[list[Resource], Position]:
    """Every living resource of some kinds, and the position that holds at: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(
            "select resource from resources where kind = any($1) and not gone", list(kinds)
        )
        found = [decode_resource(row[0]) for row in rows]
        return found, await checkpoint(connection, "resources", stream)


async def quarantine(pool: Pool) -> list[Ref]:
    """The addresses that answer an error, the first that fell ill first."""
    rows = await pool.fetch("select kind, path from quarantine order by position")
    return [Ref(*row) for row in rows]
