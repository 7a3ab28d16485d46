"""Queries of the table `links`: referrers and their targets. Only resources that are not gone have
links."""

from collections.abc import Sequence
from typing import NamedTuple

from asyncpg import Pool

from secaplane.model.shape import Ref


class Referrer(NamedTuple):
    """A reference from `ref` to `target`; `ref` is being deleted if it is `terminating`."""

    target: Ref
    ref: Ref
    terminating: bool


async def referrers(pool: Pool, targets: Sequence[Ref], *, kinds: Sequence[str]) -> list[Referrer]:
    """The resources of some kinds that refer to some targets; by target, the oldest life first."""
    rows = await pool.fetch(
        """
        select l.target_kind, l.target_path, l.kind, l.path, r.terminating
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
    """The resources of some kinds that refer to a target of one of these resources."""
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
    """The resources of some kinds that refer to a target with a later event than their own, gone or
    not, or to one that another referrer with a later event refers to. Each target is looked up
    once, however many share it."""
    rows = await pool.fetch(
        """
        with targets as materialized (
            select distinct target_kind, target_path from links where kind = any($1)
        ),
        changed as materialized (
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
        join changed using (target_kind, target_path)
        where l.kind = any($1) and changed.position > r.position
        order by r.kind, r.path
        """,
        list(kinds),
    )
    return [Ref(*row) for row in rows]


def _columns(refs: set[Ref]) -> tuple[list[str], list[str]]:
    ordered = sorted(refs)
    return [ref.kind for ref in ordered], [ref.path for ref in ordered]
