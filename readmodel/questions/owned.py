"""The resources whose names begin alike: what belongs to another and says so in its name."""

from collections.abc import Iterable

from asyncpg import Pool

from secaplane.model.events import SYSTEM
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.questions.resources import decode_resource

LAST = "\x7f"
"""Comes after every character of a name."""


async def owned_resources(pool: Pool, collections: Iterable[Ref], stem: str) -> dict[Ref, Resource]:
    """Those of some collections (their kind and path) that the house itself made with a name that
    is the stem and a number, and that are not gone."""
    wanted = list(collections)
    rows = await pool.fetch(
        """
        select resources.resource from unnest($1::text[], $2::text[]) as w (kind, collection)
        join resources using (kind, collection)
        join history as made on made.stream = resources.stream and made.position = resources.life
        where resources.name >= $3 and resources.name < $4 and not resources.gone
            and substr(resources.name, length($3) + 1) ~ '^[0-9]+$'
            and made.actor::json ->> 'sub' = $5 and made.actor::json ->> 'issuer' = ''
        order by resources.life
        """,
        [each.kind for each in wanted],
        [each.path for each in wanted],
        stem,
        stem + LAST,
        SYSTEM.sub,
    )
    found = [decode_resource(row[0]) for row in rows]
    return {resource.ref: resource for resource in found}
