"""Who refers to what: the questions asked of `links`. Only what is not gone has links."""

from collections.abc import Sequence
from typing import NamedTuple

from asyncpg import Pool

from secaplane.model.shape import Ref


class Referrer(NamedTuple):
    """`ref` refers to `target`, and is on its way out if it is `terminating`."""

    target: Ref
    ref: Ref
    terminating: bool


async def referrers(pool: Pool, targets: Sequence[Ref], *, kinds: Sequence[str]) -> list[Referrer]:
    """Who of those kinds refers to those targets; by target, the oldest life first."""
    rows = await pool.fetch(
        """
        select l.target_kind, l.target_path, l.kind, l.path, r.deleted
        from unnest($1::text[], $2::text[]) as wanted (kind, path)
        join links as l on l.target_kind = wanted.kind and l.target_path = wanted.path
        join resources as r on r.kind = l.kind and r.path = l.path and not r.gone
        where l.kind = any($3)
        order by l.target_kind, l.target_path, r.life
        """,
        *_columns(set(targets)),
        list(kinds),
    )
    return [Referrer(Ref(row[0], row[1]), Ref(row[2], row[3]), row[4]) for row in rows]


async def sharing_referrers(pool: Pool, refs: Sequence[Ref], *, kinds: Sequence[str]) -> list[Ref]:
    """Who of those kinds refers to something that one of these refers to as well."""
    rows = await pool.fetch(
        """
        select distinct other.kind, other.path
        from unnest($1::text[], $2::text[]) as wanted (kind, path)
        join links as own on own.kind = wanted.kind and own.path = wanted.path
        join links as other
            on other.target_kind = own.target_kind and other.target_path = own.target_path
        where other.kind = any($3) and (other.kind, other.path) <> (own.kind, own.path)
        order by other.kind, other.path
        """,
        *_columns(set(refs)),
        list(kinds),
    )
    return [Ref(*row) for row in rows]


async def outpaced(pool: Pool, kinds: Sequence[str]) -> list[Ref]:
    """Who of those kinds refers to something that was moved later than itself, be it gone now, or
    that another one refers to which was. Each target is looked at once, however many share it."""
    rows = await pool.fetch(
        """
        with targets as materialized (
            select distinct target_kind, target_path from links where kind = any($1)
        ),
        moved as materialized (
            select t.target_kind, t.target_path, greatest(
                (select max(r.position) from links as l
                    join resources as r on r.kind = l.kind and r.path = l.path and not r.gone
                    where l.target_kind = t.target_kind and l.target_path = t.target_path),
                (select max(r.position) from resources as r
                    where r.kind = t.target_kind
                    and r.collection = regexp_replace(t.target_path, '/[^/]*$', '')
                    and r.name = regexp_replace(t.target_path, '^.*/', ''))
            ) as position
            from targets as t
        )
        select distinct r.kind, r.path
        from links as l
        join resources as r on r.kind = l.kind and r.path = l.path and not r.gone
        join moved using (target_kind, target_path)
        where l.kind = any($1) and moved.position > r.position
        order by r.kind, r.path
        """,
        list(kinds),
    )
    return [Ref(*row) for row in rows]


def _columns(refs: set[Ref]) -> tuple[list[str], list[str]]:
    ordered = sorted(refs)
    return [ref.kind for ref in ordered], [ref.path for ref in ordered]
