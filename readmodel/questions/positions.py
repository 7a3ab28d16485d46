"""Queries for the resource that an event was about, by its position."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from asyncpg import Pool

from secaplane.model.position import Position, position
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.questions.resources import decode_resource
from secaplane.readmodel.schema.tables import Tx


class RowPosition(NamedTuple):
    """The end of a resource's history, as the rows show it."""

    ref: Ref
    position: Position
    """Of its last event."""
    version: int


async def rows_between(
    pool: Pool, stream: str, first: int, last: int, *, limit: int
) -> list[RowPosition]:
    """The resources whose last event, as the rows show it, is in a range of positions."""
    rows = await pool.fetch(
        "select kind, path, position, (resource::jsonb ->> 'version')::bigint from resources"
        " where stream = $1 and position between $2 and $3 order by position limit $4",
        stream,
        first,
        last,
        limit,
    )
    return [RowPosition(Ref(*row[:2]), position(stream, row[2]), row[3]) for row in rows]


async def newest_row(pool: Pool, ref: Ref) -> Resource | None:
    """The newest life of a resource as the rows show it, gone or not."""
    row = await pool.fetchval(
        "select resource from resources"
        " where kind = $1 and collection = $2 and name = $3 order by life desc limit 1",
        ref.kind,
        ref.collection,
        ref.name,
    )
    return decode_resource(row) if row else None


async def row_names(pool: Pool, *, batch: int) -> AsyncIterator[Ref]:
    """Every name that has rows, in bounded batches."""
    after = ("", "", "")
    while True:
        rows = await pool.fetch(
            "select distinct kind, collection, name, path from resources"
            " where (kind, collection, name) > ($1, $2, $3)"
            " order by kind, collection, name limit $4",
            *after,
            batch,
        )
        for row in rows:
            yield Ref(row[0], row[3])
        if len(rows) < batch:
            return
        after = rows[-1][:3]


async def names_with_rows(pool: Pool, refs: Sequence[Ref]) -> set[Ref]:
    """Those of some names that have rows, of any life."""
    rows = await pool.fetch(
        "select distinct kind, path from unnest($1::text[], $2::text[]) as asked (kind, path)"
        " join resources using (kind, path)",
        [ref.kind for ref in refs],
        [ref.path for ref in refs],
    )
    return {Ref(*row) for row in rows}


async def history_of(tx: Tx, ref: Ref) -> dict[Position, Resource]:
    """A resource after each of its events, as the history has it."""
    rows = await tx.fetch(
        "select stream, position, resource from history where kind = $1 and path = $2",
        ref.kind,
        ref.path,
    )
    return {position(row[0], row[1]): decode_resource(row[2]) for row in rows}


async def history_between(
    tx: Tx, stream: str, first: int, last: int, *, limit: int
) -> list[tuple[Ref, int]]:
    """The resource of each event in a range of positions, where the history has it."""
    rows = await tx.fetch(
        "select kind, path, position from history"
        " where stream = $1 and position between $2 and $3 order by position limit $4",
        stream,
        first,
        last,
        limit,
    )
    return [(Ref(*row[:2]), row[2]) for row in rows]
