"""Queries of the comparison of cloud and log: settled resources in the order of their addresses,
and the lives at some addresses."""

from collections.abc import Sequence

from asyncpg import Pool

from secaplane.model.shape import Ref

FIRST = Ref("", "")
"""Before the first address."""


async def settled_after(pool: Pool, kinds: Sequence[str], after: Ref, *, limit: int) -> list[Ref]:
    """The next settled resources of some kinds, by (kind, path)."""
    rows = await pool.fetch(
        "select kind, path from resources"
        " where not gone and not unsettled and not terminating"
        " and kind = any($1) and (kind, path) > ($2, $3) order by kind, path limit $4",
        list(kinds),
        after.kind,
        after.path,
        limit,
    )
    return [Ref(*row) for row in rows]


async def living_count(pool: Pool, kinds: Sequence[str]) -> int:
    count: int = await pool.fetchval(
        "select count(*) from resources where not gone and kind = any($1)", list(kinds)
    )
    return count


async def living_uids(pool: Pool, refs: Sequence[Ref]) -> dict[Ref, str]:
    """The uids of those lives at some addresses that are not gone."""
    rows = await pool.fetch(
        "select kind, path, uid from unnest($1::text[], $2::text[]) as asked (kind, path)"
        " join resources using (kind, path) where not gone",
        [ref.kind for ref in refs],
        [ref.path for ref in refs],
    )
    return {Ref(*row[:2]): row[2] for row in rows}
