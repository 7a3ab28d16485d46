"""Queries of the table `history`: resources as they were, and their events. Each connection reads
the read model of the group `history`, which has checkpoints of its own."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

from secaplane.model.position import Position
from secaplane.model.shape import Ref
from secaplane.readmodel.history_row import COLUMNS, ENDS, WRITES_DESIRED_STATE, HistoryRow
from secaplane.readmodel.schema.tables import Tx

AsOf = Position | datetime
PREFETCHED = 8
"""Rows of a cursor that are fetched at once."""
NAMES_AT_ONCE = 100
"""Names whose resources are looked at in one query, which sorts them."""

_ENDED = ", ".join(f"'{each}'" for each in ENDS)
_WRITES = ", ".join(f"'{each}'" for each in WRITES_DESIRED_STATE)
_OF_H = ", ".join(f"h.{each}" for each in COLUMNS.split(", "))
_LATEST = f"""
select w.n, {_OF_H}
from unnest($1::text[], $2::text[]) with ordinality as w (kind, path, n)
cross join lateral (
    select {COLUMNS} from history where kind = w.kind and path = w.path
    order by position desc limit 1
) as h"""


class Moments(NamedTuple):
    """A resource at one moment of the log, with what decides whether that may be shown."""

    latest: HistoryRow | None
    """Its newest event; None where it has no history."""
    parents: Sequence[HistoryRow | None]
    """The newest event of each resource in its path."""
    then: HistoryRow | None
    """Its newest event as of then."""


def until(as_of: AsOf, number: int) -> str:
    """The condition on a row that it was recorded by then; the moment is argument `number`."""
    return f"{'position' if isinstance(as_of, Position) else 'time'} <= ${number}"


def moment(as_of: AsOf) -> int | datetime:
    return as_of.sequence if isinstance(as_of, Position) else as_of


async def moments(tx: Tx, ref: Ref, parents: Sequence[Ref], as_of: AsOf | None) -> Moments:
    """One SELECT. Without `as_of`, `then` is the newest event."""
    refs = [ref, *parents]
    arguments: list[object] = [[each.kind for each in refs], [each.path for each in refs]]
    select = _LATEST
    if as_of is not None:
        select += f"""
            union all (
                select 0, {COLUMNS} from history where kind = $3 and path = $4
                and {until(as_of, 5)} order by position desc limit 1
            )"""
        arguments += [ref.kind, ref.path, moment(as_of)]
    found = {n: HistoryRow(*row) for n, *row in await tx.fetch(select, *arguments)}
    above = [found.get(n) for n in range(2, len(refs) + 1)]
    return Moments(found.get(1), above, found.get(1 if as_of is None else 0))


async def time_of(tx: Tx, position: Position) -> datetime | None:
    """The time of the last event of a stream up to a position."""
    found: datetime | None = await tx.fetchval(
        "select time from history where stream = $1 and position <= $2"
        " order by position desc limit 1",
        *(position.stream, position.sequence),
    )
    return found


async def newest_events(tx: Tx, refs: Sequence[Ref]) -> list[HistoryRow | None]:
    """The newest event of each resource."""
    names = [each.kind for each in refs], [each.path for each in refs]
    found = {n: HistoryRow(*row) for n, *row in await tx.fetch(_LATEST, *names)}
    return [found.get(n) for n in range(1, len(refs) + 1)]


async def is_quarantined(tx: Tx, ref: Ref) -> bool:
    """One of its events could not be decoded or applied: its history ends before that event."""
    found = await tx.fetchval(
        "select true from quarantine where kind = $1 and path = $2", ref.kind, ref.path
    )
    return bool(found)


def events(
    tx: Tx, ref: Ref, *, life: int, before: int, desired_state_only: bool = False
) -> AsyncIterator[HistoryRow]:
    """The events from the beginning of a life until before a sequence, the newest first; fetched as
    they are taken, in a transaction."""
    only = f"and type in ({_WRITES})" if desired_state_only else ""
    return _rows(
        tx,
        f"""
        select {COLUMNS} from history
        where kind = $1 and path = $2 and position >= $3 and position < $4 {only}
        order by position desc
        """,
        *(ref.kind, ref.path, life, before),
    )


async def first_with_version(tx: Tx, ref: Ref, *, life: int, number: int) -> HistoryRow | None:
    """The event that began the version which is `number` versions after the first of a life."""
    row = await tx.fetchrow(
        f"""
        select {COLUMNS} from history where kind = $1 and path = $2 and position >= $3
        and type in ('created', 'updated', 'action-requested', 'deletion-requested')
        order by position offset $4 limit 1
        """,
        *(ref.kind, ref.path, life, number),
    )
    return None if row is None else HistoryRow(*row)


async def living_within(
    tx: Tx,
    kind: str,
    prefix: str,
    as_of: AsOf,
    *,
    after: str = "",
    containing: str = "",
    newest_life: bool = False,
) -> AsyncIterator[HistoryRow]:
    """The newest event as of then of each resource of a kind below a path that was not gone, in
    the order of paths; fetched as they are taken, in a transaction. `after`: only paths after that
    one; `containing`: only resources whose JSON has that text; `newest_life`: only of the newest
    life of their name, and none in quarantine."""
    select = f"""
        {_LIVING.format(names=_NAMED, until=until(as_of, 3), columns=_OF_H)}
        and ($4 = '' or position($4 in h.resource) > 0) {_NEWEST if newest_life else ""}
        order by n.path
        """
    before = max(f"{prefix}/", after)
    while names := await tx.fetch(_NAMES, kind, before, f"{prefix}0", NAMES_AT_ONCE):
        paths = [path for (path,) in names]
        async for row in _rows(tx, select, kind, paths, moment(as_of), containing):
            yield row
        before = paths[-1]


async def counts_within(
    tx: Tx, kinds: Sequence[str], workspaces: Sequence[Ref], as_of: AsOf
) -> Counter[str]:
    """The number of resources of some kinds that were not gone as of then, by the name of their
    workspace, for workspaces in the order of their paths."""
    select = _LIVING.format(
        names=f"({_NAMES}) as n",
        until=until(as_of, 5),
        columns="split_part(n.path, '/', 4) as workspace",
    )
    counted = f"select workspace, count(*) from ({select}) as living group by workspace"
    between = (f"{workspaces[0].path}/", f"{workspaces[-1].path}0", None, moment(as_of))
    counts = Counter[str]()
    for kind in kinds:
        counts.update({name: n for name, n in await tx.fetch(counted, kind, *between)})
    return counts


_NAMES = """
with recursive names (path) as (
    (
        select path from history where kind = $1 and path > $2 and path < $3
        order by path limit 1
    )
    union all
    select (
        select path from history where kind = $1 and path > names.path and path < $3
        order by path limit 1
    ) from names where names.path is not null
)
select path from names where path is not null limit $4::bigint"""
"""Each name is found by the index alone, however many events it has; in the order of paths."""
_NAMED = "unnest($2::text[]) as n (path)"
_LIVING = f"""
select {{columns}} from {{names}}
cross join lateral (
    select {COLUMNS} from history where kind = $1 and path = n.path and {{until}}
    order by position desc limit 1
) as h
where h.type not in ({_ENDED})
"""
_NEWEST = """
and h.uid = (
    select uid from history where kind = $1 and path = n.path order by position desc limit 1
) and not exists (select from quarantine as q where q.kind = $1 and q.path = n.path)
"""


async def _rows(tx: Tx, query: str, *arguments: object) -> AsyncIterator[HistoryRow]:
    async for row in tx.cursor(query, *arguments, prefetch=PREFETCHED):
        yield HistoryRow(*row)
