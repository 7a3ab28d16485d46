"""Who refers to whom: the questions asked of the table `links`."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from model.shape import Ref


class User(msgspec.Struct, frozen=True):
    """One living resource that refers to another."""

    target: Ref
    ref: Ref
    going: bool


async def users(pool: Pool, targets: Sequence[Ref], *, kinds: Sequence[str]) -> list[User]:
    """Who of some kinds refers to one of the targets and is not gone, the oldest first."""
    rows = await pool.fetch(
        """
        select w.kind, w.path, l.kind, l.path, r.deleted
        from unnest($1::text[], $2::text[]) as w (kind, path)
        join links as l on l.target_kind = w.kind and l.target_path = w.path
        join resources as r on r.kind = l.kind and r.path = l.path and not r.gone
        where l.kind = any($3) order by r.life
        """,
        [ref.kind for ref in targets],
        [ref.path for ref in targets],
        list(kinds),
    )
    return [User(Ref(row[0], row[1]), Ref(row[2], row[3]), row[4]) for row in rows]


async def neighbours(pool: Pool, refs: Sequence[Ref], *, kinds: Sequence[str]) -> list[Ref]:
    """Who of some kinds refers to what one of these refers to, too."""
    rows = await pool.fetch(
        """
        select distinct theirs.kind, theirs.path
        from unnest($1::text[], $2::text[]) as w (kind, path)
        join links as mine on mine.kind = w.kind and mine.path = w.path
        join links as theirs using (target_kind, target_path)
        where theirs.kind = any($3)
        """,
        [ref.kind for ref in refs],
        [ref.path for ref in refs],
        list(kinds),
    )
    return [Ref(*row) for row in rows]


async def outpaced(pool: Pool, kinds: Sequence[str]) -> list[Ref]:
    """Who of some kinds refers to something that has an event after its own last one, or shares
    something with what has: what it follows may be other than it was when it was looked at."""
    rows = await pool.fetch(
        """
        select s.kind, s.path from resources as s
        where s.kind = any($1) and not s.gone and exists (
            select from links as l
            join resources as t on t.kind = l.target_kind and t.path = l.target_path
            where l.kind = s.kind and l.path = s.path and not t.gone and t.position > s.position
            union all
            select from links as l
            join links as shared using (target_kind, target_path)
            join resources as t on t.kind = shared.kind and t.path = shared.path
            where l.kind = s.kind and l.path = s.path and not t.gone and t.position > s.position
        )
        """,
        list(kinds),
    )
    return [Ref(*row) for row in rows]
