"""Queries of the table `resources`."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from asyncpg import Pool, Record

from secaplane.model.position import Position
from secaplane.model.shape import LifeIds, Ref, Resource
from secaplane.readmodel.questions.derived import derived, shown
from secaplane.readmodel.questions.lives import in_present_life, life_ids, life_ids_column
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints
from secaplane.readmodel.schema.tables import Tx
from secaplane.readmodel.selection import ALL_RESOURCES, Selection

decode_resource = msgspec.json.Decoder(Resource).decode


PAGE_BYTES_MAX = 4 * 1024 * 1024
"""Documents of one page together, without the last one that still began below it."""


class Row(msgspec.Struct, frozen=True):
    """One item of a list: its document, and its place in the order of the list."""

    document: str | None
    """None for an item that has no room on the page: the page ends before it."""
    name: str
    life: int
    life_ids: LifeIds | None = None
    """The uids that open its secrets; None where its kind has none."""


async def quarantined(pool: Pool, ref: Ref) -> bool:
    found = await pool.fetchval(
        "select true from quarantine where kind = $1 and path = $2", ref.kind, ref.path
    )
    return bool(found)


async def page(
    pool: Pool | Tx,
    kind: str,
    collection: str,
    *,
    after: tuple[str, int],
    limit: int,
    deleted: bool | None,
    selection: Selection = ALL_RESOURCES,
) -> list[Row]:
    """A page of a collection in the order (name, life): at least one item, if there is one, and
    no further item once the documents have PAGE_BYTES_MAX bytes. What is in quarantine is left out:
    a GET of it is refused, too.

    `deleted`: False leaves out what is gone or being deleted, True shows only that, None shows all.
    What is gone is shown only if it began in the present life of its parent.
    """
    query = _page(kind, selection, deleted)
    rows = await pool.fetch(query, kind, collection, *after, limit, *selection.arguments)
    found = [
        Row(shown(document, attached, contained), name, life, life_ids(ids))
        for document, name, life, ids, attached, contained, _ in rows
    ]
    if not rows or len(rows) == limit or not _full(rows[-1]):
        return found
    last = found[-1]
    further = await pool.fetch(
        query, kind, collection, last.name, last.life, 1, *selection.arguments
    )
    return found + [Row(None, each["name"], each["life"]) for each in further]


def _full(last: Record) -> bool:
    """True if a page has no room after its last row."""
    before: int = last["before"]
    return before + len(last["document"].encode()) >= PAGE_BYTES_MAX


def _page(kind: str, selection: Selection, deleted: bool | None) -> str:
    only = {
        False: "and not r.gone and not r.terminating",
        True: f"and r.terminating {in_present_life(kind)}",
        None: in_present_life(kind),
    }[deleted]
    by = "l" if selection.indexed else "r"
    candidates = f"""
        select r.kind, r.path, r.gone, r.document, r.name, r.life,
            {life_ids_column(kind)} as life_ids
        from {_source(selection)} {only} {selection.conditions}
        and (r.kind, r.path) not in (select kind, path from quarantine)
        order by {by}.name, {by}.life limit $5
    """
    return _within_bytes(candidates, derived(kind))


def _within_bytes(candidates: str, derived: str) -> str:
    """The first of some rows, up to the one with which the bytes are used up. Only the documents
    that are answered are read: the size of one is in its row."""
    return f"""
        select r.document, r.name, r.life, r.life_ids, {derived}, r.before
        from (
            select c.*, coalesce(sum(octet_length(c.document)) over (
                order by c.name, c.life rows between unbounded preceding and 1 preceding
            ), 0) as before
            from ({candidates}) as c
        ) as r
        where r.before < {PAGE_BYTES_MAX}
        order by r.name, r.life
    """


def _source(selection: Selection) -> str:
    """The candidates for a page, in its order. The query spells out the plan, because the planner
    cannot know how many resources have a label."""
    where = "{0}.kind = $1 and {0}.collection = $2 and ({0}.name, {0}.life) > ($3, $4)"
    if not selection.indexed:
        return f"resources as r where {where.format('r')}"
    labelled = f"labels as l {_ROW} where {where.format('l')} and {selection.indexed}"
    if not selection.ordered:
        labelled = f"""(
            select distinct l.name, l.life from labels as l
            where {where.format("l")} and {selection.indexed} order by l.name, l.life offset 0
        ) as l {_ROW} where true"""
    return labelled


_ROW = """
    join lateral (select * from resources where life = l.life offset 0) as r
    on r.kind = $1 and r.collection = $2 and r.name = l.name
"""


_BELOW = """
    select kind, path from resources
    where kind = any($1) and not gone and ($4 or not terminating) and path > $2 and path < $3
    union
    select kind, path from quarantine
    where kind = any($1) and path > $2 and path < $3
"""


async def below(
    pool: Pool, kinds: Sequence[str], path: str, *, include_terminating: bool, limit: int
) -> list[Ref]:
    """The resources contained in another one that are not gone; with `include_terminating` also
    those that are being deleted. What is in quarantine may exist, so it counts."""
    rows = await pool.fetch(
        f"{_BELOW} order by kind, path limit $5",
        list(kinds),
        f"{path}/",
        f"{path}0",  # 0 follows the slash: so these are all that begin with the path and a slash
        include_terminating,
        limit,
    )
    return [Ref(*row) for row in rows]


async def below_counted(
    pool: Pool, kinds: Sequence[str], path: str, *, include_terminating: bool, limit: int
) -> tuple[list[Ref], int]:
    """The first resources that `below` answers, and the number of all of them."""
    count = await pool.fetchval(
        f"select count(*) from ({_BELOW}) as below",
        list(kinds),
        f"{path}/",
        f"{path}0",
        include_terminating,
    )
    return await below(
        pool, kinds, path, include_terminating=include_terminating, limit=limit
    ), count


async def resources_at(pool: Pool, refs: Sequence[Ref]) -> dict[Ref, Resource]:
    """Those of some resources that are not gone."""
    rows = await pool.fetch(
        """
        select resource from unnest($1::text[], $2::text[]) as wanted (kind, path)
        join resources using (kind, path) where not gone
        """,
        [ref.kind for ref in refs],
        [ref.path for ref in refs],
    )
    return {resource.ref: resource for resource in (decode_resource(row[0]) for row in rows)}


async def unsettled(pool: Pool) -> tuple[list[tuple[Ref, bool]], Checkpoints]:
    """The resources that reconcilers begin with, true for those that are being deleted, and the
    positions at which that holds: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(
            "select kind, path, terminating from resources where unsettled order by life"
        )
        return [(Ref(*row[:2]), row[2]) for row in rows], await checkpoints(connection)


async def unsettled_after(
    pool: Pool, last: Ref | None, *, limit: int
) -> list[tuple[Ref, Position]]:
    """A page of the unsettled resources, in the order of their addresses, after one of them; each
    with the position of its last event."""
    rows = await pool.fetch(
        """
        select kind, path, stream, position from resources
        where unsettled and (kind, path) > ($1, $2) order by kind, path limit $3
        """,
        last.kind if last else "",
        last.path if last else "",
        limit,
    )
    return [(Ref(*row[:2]), Position(row[2], row[3])) for row in rows]


async def living_of(
    pool: Pool, kinds: Sequence[str], *, include_terminating: bool = True
) -> list[Ref]:
    """Every resource of some kinds that is not gone; without `include_terminating`, not those that
    are being deleted."""
    rows = await pool.fetch(
        "select kind, path from resources"
        " where kind = any($1) and not gone and ($2 or not terminating)",
        list(kinds),
        include_terminating,
    )
    return [Ref(*row) for row in rows]


async def unsettled_positions(pool: Pool, *, limit: int) -> dict[Ref, int]:
    """Unsettled resources, each with the sequence of its last event."""
    rows = await pool.fetch(
        "select kind, path, position from resources where unsettled order by kind, path limit $1",
        limit,
    )
    return {Ref(*row[:2]): row[2] for row in rows}


class QuarantinedResource(NamedTuple):
    ref: Ref
    position: Position
    """Of the first event that is left out."""
    reason: str


async def quarantine_entries(pool: Pool) -> list[QuarantinedResource]:
    """As `quarantine`, with position and reason."""
    rows = await pool.fetch(
        "select kind, path, stream, position, reason from quarantine order by position"
    )
    return [QuarantinedResource(Ref(*row[:2]), Position(row[2], row[3]), row[4]) for row in rows]


class Orphan(NamedTuple):
    """A life that was closed; the cloud may still hold it."""

    ref: Ref
    uid: str
    closed_at: datetime


async def orphans(pool: Pool) -> list[Orphan]:
    """Every one, the oldest first."""
    rows = await pool.fetch("select kind, path, uid, time from orphans order by time")
    return [Orphan(Ref(*row[:2]), row[2], row[3]) for row in rows]


async def orphans_count(pool: Pool) -> int:
    count: int = await pool.fetchval("select count(*) from orphans")
    return count


async def quarantine(pool: Pool) -> list[Ref]:
    """The resources in quarantine, the oldest event first."""
    rows = await pool.fetch("select kind, path from quarantine order by position")
    return [Ref(*row) for row in rows]
