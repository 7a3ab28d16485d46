"""Queries of the activity in a tenant: the events of the group `history`, and the entries of the
group `activity`, whose schema is named. All of them answer the newest rows first, and are fetched
as they are taken, in a transaction."""

from collections.abc import AsyncIterator

from secaplane.audit.entries import ALL_TENANTS
from secaplane.readmodel.activity_rows import (
    ENTRY_COLUMNS,
    EVENT_COLUMNS,
    FAILED,
    REFUSED,
    REPORTED,
    REPORTS,
    TYPES_OF_VERBS,
    ActivityKey,
    ActivitySelection,
    EntryActivity,
    EventActivity,
    UnknownCaller,
    UnknownCallers,
)
from secaplane.readmodel.schema.tables import Tx

PREFETCHED = 50
SHOWN_MAX = 20
"""Unknown callers of an hour that are shown."""
UNKNOWN_MAX = 10_000
"""Unknown callers of a tenant that are looked at to find one by its pseudonym."""


class _Where:
    """A condition and its arguments."""

    def __init__(self, selection: ActivitySelection, before: ActivityKey, tenant: str) -> None:
        self.arguments: list[object] = [tenant, *before]
        self._terms = ["tenant = $1"]
        self.add("workspace = {}", selection.workspace)
        self.add("kind = {}", selection.kind)
        self.add("time >= {}", selection.since)
        self.add("time <= {}", selection.until)
        if selection.at is not None:
            self.add("stream = {}", selection.at.stream)
            self.add("position = {}", selection.at.sequence)

    def add(self, term: str, value: object | None) -> None:
        if value is not None:
            self.arguments.append(value)
            self._terms.append(term.replace("{}", f"${len(self.arguments)}"))

    def only(self, term: str) -> None:
        self._terms.append(term)

    @property
    def text(self) -> str:
        return " and ".join(self._terms)


async def events(
    tx: Tx, selection: ActivitySelection, before: ActivityKey, *, with_resource: bool = False
) -> AsyncIterator[EventActivity]:
    """Events of accepted requests and of reports. `with_resource`: what was written, too. An actor
    that is stored sealed may be another one than was asked for: who opens it compares it."""
    types = TYPES_OF_VERBS.get(selection.verb, ()) if selection.verb is not None else None
    if types == () or selection.outcome == REFUSED or selection.statuses is not None:
        return
    where = _Where(selection, before, selection.tenant)
    where.only("(time, stream, position) < ($2, $3, $4)")
    where.add("type = any({}::text[])", types)
    where.add("(actor like '\"%' or actor::jsonb ->> 'sub' = {})", selection.actor)
    match selection.outcome:
        case "accepted":
            where.add("type <> all({}::text[])", REPORTS)
        case "reported":
            where.add("type = any({}::text[]) and not failed", REPORTS)
        case "failed":
            where.only("failed")
    if selection.workspace is not None:
        where.only("workspace <> ''")  # as the index
    resource = "case when type in ('created', 'updated') then resource end" if with_resource else ""
    query = (
        f"select {EVENT_COLUMNS}, {resource or 'null'} from history where {where.text}"
        " order by time desc, stream desc, position desc"
    )
    async for row in tx.cursor(query, *where.arguments, prefetch=PREFETCHED):
        yield EventActivity(*row)


async def entries(
    tx: Tx, schema: str, selection: ActivitySelection, before: ActivityKey, *, of_all: bool = False
) -> AsyncIterator[EntryActivity]:
    """Entries of callers that the tenant knows. `of_all`: those about every tenant."""
    if selection.outcome in (REPORTED, FAILED):
        return
    where = _Where(selection, before, ALL_TENANTS if of_all else selection.tenant)
    where.only("known and (time, stream, position) < ($2, $3, $4)")
    where.add("time >= {}", selection.begun if of_all else None)
    where.add("sub = {}", selection.actor)
    where.add("outcome = {}", selection.outcome)
    _request(where, selection)
    query = (
        f"select {ENTRY_COLUMNS} from {schema}.entries where {where.text}"
        " order by time desc, stream desc, position desc"
    )
    async for row in tx.cursor(query, *where.arguments, prefetch=PREFETCHED):
        yield EntryActivity(*row)


async def unknown_callers(
    tx: Tx, schema: str, selection: ActivitySelection, before: ActivityKey
) -> AsyncIterator[UnknownCallers]:
    """Hour by hour, the refused requests of callers that the tenant does not know. A caller is
    asked for by issuer and sub, never by a sub that a request names."""
    named = selection.actor is not None and selection.unknown is None
    if named or selection.outcome not in (None, REFUSED):
        return
    where = _Where(selection, before, selection.tenant)
    where.only("not known and (date_bin('1 hour', time, 'epoch'), '', 0::bigint) < ($2, $3, $4)")
    _request(where, selection)
    if selection.unknown is not None:
        where.add("issuer = {}", selection.unknown[0])
        where.add("sub = {}", selection.unknown[1])
    query = _HOURS.format(schema=schema, where=where.text, most=SHOWN_MAX)
    found: UnknownCallers | None = None
    async for hour, recorded, dropped, callers, last, *caller in tx.cursor(
        query, *where.arguments, prefetch=PREFETCHED
    ):
        shown = UnknownCaller(*caller)
        if found is not None and found.hour == hour:
            found = found._replace(most=(*found.most, shown))
            continue
        if found is not None:
            yield found
        found = UnknownCallers(hour, recorded, dropped, callers, last, (shown,))
    if found is not None:
        yield found


async def unknown_subs(tx: Tx, schema: str, tenant: str) -> list[tuple[str, str]]:
    """Issuer and sub of the callers that a tenant does not know."""
    rows = await tx.fetch(
        f"select distinct issuer, sub from {schema}.entries where tenant = $1 and not known"
        f" limit {UNKNOWN_MAX}",
        tenant,
    )
    return [(row[0], row[1]) for row in rows]


def _request(where: _Where, selection: ActivitySelection) -> None:
    """Conditions on a request; the verb `post` is every action."""
    where.add("status = any({}::int[])", selection.statuses)
    where.add("(verb = {} or starts_with(verb, {} || '.'))", selection.verb)


_HOURS = """
with callers as (
    select date_bin('1 hour', time, 'epoch') as hour, issuer, sub, count(*)::bigint as recorded,
        sum(dropped)::bigint as dropped, max(time) as last, array_agg(distinct verb) as verbs,
        array_remove(array_agg(distinct kind), '') as kinds
    from {schema}.entries where {where} group by 1, 2, 3
), ranked as (
    select *, row_number() over (
            partition by hour order by recorded + dropped desc, issuer, sub
        ) as rank,
        sum(recorded) over of_hour as all_recorded, sum(dropped) over of_hour as all_dropped,
        count(*) over of_hour as number, max(last) over of_hour as all_last
    from callers window of_hour as (partition by hour)
)
select hour, all_recorded::bigint, all_dropped::bigint, number::bigint, all_last,
    issuer, sub, recorded, dropped, last, verbs, kinds
from ranked where rank <= {most} order by hour desc, rank
"""


async def checkpoint(tx: Tx, schema: str, stream: str) -> int:
    """The sequence that the rows of the audit stream have reached."""
    reached: int | None = await tx.fetchval(
        f"select position from {schema}.checkpoints where stream = $1", stream
    )
    return reached or 0
