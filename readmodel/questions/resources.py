"""The questions asked of the tables, each with a name."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.questions.derived import derived, shown
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints

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


class Selection(msgspec.Struct, frozen=True):
    """What a label selector chooses: see `query.labels`."""

    borne: str = ""
    """SQL over `l`, a row of `labels`: a label that all of it bears."""
    ordered: bool = False
    """Whether that is one value of one key: its index is in the order of the list."""
    more: str = ""
    """SQL behind another condition: over `l`, where something is borne, and `r`, its row."""
    arguments: Sequence[object] = ()
    """Their numbers begin with FIRST_ARGUMENT."""


FIRST_ARGUMENT = 6
ALL_RESOURCES = Selection()


async def page(
    pool: Pool,
    kind: str,
    collection: str,
    *,
    after: tuple[str, int],
    limit: int,
    deleted: bool | None,
    choice: Selection = ALL_RESOURCES,
) -> list[Row]:
    """A page of a collection in the order (name, life).

    `deleted`: False only what is not, True only what is (gone or going), None both.
    """
    rows = await pool.fetch(
        _page(kind, choice, deleted),
        kind,
        collection,
        *after,
        limit,
        *choice.arguments,
    )
    return [Row(shown(row[0], row[3], row[4]), row[1], row[2]) for row in rows]


def _page(kind: str, choice: Selection, deleted: bool | None) -> str:
    alive = {False: "and not r.gone and not r.deleted", True: "and r.deleted", None: ""}[deleted]
    by = "l" if choice.borne else "r"
    source = _source(choice)
    return f"""
        select r.document, r.name, r.life, {derived(kind)}
        from {source} {alive} {choice.more}
        order by {by}.name, {by}.life limit $5
    """


def _source(choice: Selection) -> str:
    """Who may be on the page, in order. Nothing is left to the planner that it could get wrong: it
    cannot know how many bear a label."""
    where = "{0}.kind = $1 and {0}.collection = $2 and ({0}.name, {0}.life) > ($3, $4)"
    if not choice.borne:
        return f"resources as r where {where.format('r')}"
    bearers = f"labels as l {_ROW} where {where.format('l')} and {choice.borne}"
    if not choice.ordered:
        bearers = f"""(
            select distinct l.name, l.life from labels as l
            where {where.format("l")} and {choice.borne} order by l.name, l.life offset 0
        ) as l {_ROW} where true"""
    return bearers


_ROW = """
    join lateral (select * from resources where life = l.life offset 0) as r
    on r.kind = $1 and r.collection = $2 and r.name = l.name
"""


async def below(
    pool: Pool, kinds: Sequence[str], path: str, *, include_terminating: bool, limit: int
) -> list[Ref]:
    """What lies in a resource and is not gone; with `include_terminating` also what is on its
    way."""
    rows = await pool.fetch(
        """
        select kind, path from resources
        where kind = any($1) and not gone and ($4 or not deleted) and path > $2 and path < $3
        order by kind, path limit $5
        """,
        list(kinds),
        f"{path}/",
        f"{path}0",  # the character after the slash: whatever begins with the path and a slash
        include_terminating,
        limit,
    )
    return [Ref(*row) for row in rows]


async def below_counted(
    pool: Pool, kinds: Sequence[str], path: str, *, include_terminating: bool, limit: int
) -> tuple[list[Ref], int]:
    """The first of what `below` answers, and how many there are in all."""
    count = await pool.fetchval(
        """
        select count(*) from resources
        where kind = any($1) and not gone and ($4 or not deleted) and path > $2 and path < $3
        """,
        list(kinds),
        f"{path}/",
        f"{path}0",
        include_terminating,
    )
    return await below(
        pool, kinds, path, include_terminating=include_terminating, limit=limit
    ), count


async def resources_at(pool: Pool, refs: Sequence[Ref]) -> dict[Ref, Resource]:
    """Those of them that are not gone."""
    rows = await pool.fetch(
        """
        select resource from unnest($1::text[], $2::text[]) as wanted (kind, path)
        join resources using (kind, path) where not gone
        """,
        [ref.kind for ref in refs],
        [ref.path for ref in refs],
    )
    return {resource.ref: resource for resource in (decode_resource(row[0]) for row in rows)}


async def unsettled(pool: Pool) -> tuple[list[Ref], Checkpoints]:
    """What reconcilers begin with, and the position it holds at: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(
            "select kind, path from resources where unfinished order by life"
        )
        return [Ref(*row) for row in rows], await checkpoints(connection, "resources")


async def living_of(pool: Pool, kinds: Sequence[str]) -> tuple[list[Resource], Checkpoints]:
    """Every living resource of some kinds, and the position that holds at: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await connection.fetch(
            "select resource from resources where kind = any($1) and not gone", list(kinds)
        )
        found = [decode_resource(row[0]) for row in rows]
        return found, await checkpoints(connection, "resources")


async def quarantine(pool: Pool) -> list[Ref]:
    """The addresses that answer an error, the first that fell ill first."""
    rows = await pool.fetch("select kind, path from quarantine order by position")
    return [Ref(*row) for row in rows]
