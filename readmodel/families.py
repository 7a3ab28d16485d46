"""The resources whose names begin alike: what belongs to another and says so in its name."""

from collections.abc import Iterable

from asyncpg import Pool

from model.shape import Ref, Resource
from readmodel.questions import decode_resource

LAST = "\x7f"
"""Comes after every character of a name."""


async def family(pool: Pool, collections: Iterable[Ref], stem: str) -> dict[Ref, Resource]:
    """Those of some collections (their kind and path) whose names begin with the stem and that are
    not gone."""
    wanted = list(collections)
    rows = await pool.fetch(
        """
        select resource from unnest($1::text[], $2::text[]) as w (kind, collection)
        join resources using (kind, collection)
        where name >= $3 and name < $4 and not gone order by life
        """,
        [each.kind for each in wanted],
        [each.path for each in wanted],
        stem,
        stem + LAST,
    )
    found = [decode_resource(row[0]) for row in rows]
    return {resource.ref: resource for resource in found}
