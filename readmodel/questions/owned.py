"""Owned resources: those that the control plane created for another one; their names tell which."""

from collections.abc import Iterable

from asyncpg import Pool

from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.questions.resources import decode_resource

LAST = "\x7f"
"""Sorts after every character of a name."""


async def owned_resources(pool: Pool, collections: Iterable[Ref], stem: str) -> dict[Ref, Resource]:
    """The resources of some collections (their kind and path) that the control plane created, whose
    name is the stem and a number, and that are not gone."""
    places = list(collections)
    rows = await pool.fetch(
        """
        select resources.resource from unnest($1::text[], $2::text[]) as place (kind, collection)
        join resources using (kind, collection)
        where resources.name >= $3 and resources.name < $4 and not resources.gone
            and substr(resources.name, length($3) + 1) ~ '^[0-9]+$'
            and resources.created_by_system
        order by resources.life
        """,
        [each.kind for each in places],
        [each.path for each in places],
        stem,
        stem + LAST,
    )
    found = [decode_resource(row[0]) for row in rows]
    return {resource.ref: resource for resource in found}
