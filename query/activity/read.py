"""The application service of the activity in a tenant. Authorization comes before it.

Everything is from one snapshot. It includes the events and the audit entries that there were when
the request came, so that a page leaves out nothing but what later pages have; an answer without
refusals because their rows are behind is never given.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from secaplane.edge.problem_table import statuses_of
from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.errors import NotFound, Unavailable
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource
from secaplane.query import pages
from secaplane.query.activity.asked import ActivityAsked
from secaplane.query.activity.items import TenantNames, activity_log, item, named
from secaplane.query.activity.merging import newest_first
from secaplane.query.activity.pseudonyms import is_pseudonym, pseudonym
from secaplane.query.history.callers import OpenActor
from secaplane.query.history.lives import decode_resource
from secaplane.query.history.read import READ_BYTES_MAX, HistoryDependencies
from secaplane.query.read import Ids, ListedPage
from secaplane.readmodel.activity_rows import (
    BEFORE_ALL,
    Activity,
    ActivityKey,
    ActivitySelection,
    EventActivity,
)
from secaplane.readmodel.history_share import NOT_FILLED
from secaplane.readmodel.list_share import BEHIND
from secaplane.readmodel.questions import activity, history
from secaplane.readmodel.schema.active import active
from secaplane.readmodel.schema.activity import ACTIVITY
from secaplane.readmodel.schema.tables import Tx

TENANT, WORKSPACE = KINDS["tenant"], KINDS["workspace"]


@dataclass(frozen=True)
class ActivityDependencies:
    history: HistoryDependencies
    entries_end: Callable[[], Awaitable[Position]]
    """The end of the security audit stream; BEGINNING where it does not answer."""
    entries_stream: str
    """The name of the security audit stream."""
    pseudonym_key: bytes

    @property
    def streams(self) -> Sequence[str]:
        """The streams that the activity is of."""
        return *self.history.streams, self.entries_stream


class _Page(NamedTuple):
    """The rows of a page, and where it begins."""

    selection: ActivitySelection
    names: TenantNames
    after: ActivityKey
    limit: int
    listed: str


async def tenant_page(
    dependencies: ActivityDependencies,
    tenant: str,
    query: ActivityAsked,
    *,
    limit: str | None = None,
    skip_token: str | None = None,
    at_least: Sequence[Position] = (),
) -> ListedPage:
    """A page of the activity in the present life of a tenant, the newest first. It also ends after
    READ_BYTES_MAX.

    Raises:
        NotFound: there is no such tenant.
        Malformed: a parameter cannot be parsed, or the skipToken belongs to another list.
        Unavailable: the rows have not reached what there was in time, or the page took too long.
    """
    listed = f"activity of tenants/{tenant} {query.text}"
    most, after = pages.limit(limit), _after(dependencies, skip_token, listed)
    async with _snapshot(dependencies, at_least) as (tx, schema):
        present = await _living(tx, {"tenant": tenant})
        if present is None:
            raise NotFound(f"there is no tenant {tenant}")
        names = TenantNames(dependencies.pseudonym_key, present.uid)
        selection = _selection(query, present)._replace(workspace=query.workspace)
        selection = await _with_unknown(tx, schema, selection, names)
        rows = _rows(dependencies, tx, schema, selection, after)
        page = _Page(selection, names, after, most, listed)
        return await _shown(dependencies, rows, page, lambda row: item(row, names))


async def workspace_page(
    dependencies: ActivityDependencies,
    kind: Kind,
    ids: Ids,
    query: ActivityAsked,
    *,
    limit: str | None = None,
    skip_token: str | None = None,
    at_least: Sequence[Position] = (),
) -> ListedPage:
    """A page of the standard's activity log of a workspace, since its present life began; empty
    where there is no such workspace. Raises as `tenant_page`."""
    listed = f"{kind.name} {kind.collection.format_map(ids)} {query.text}"
    most, after = pages.limit(limit), _after(dependencies, skip_token, listed)
    async with _snapshot(dependencies, at_least) as (tx, schema):
        present, inside = await _living(tx, ids), await _living(tx, ids, WORKSPACE)
        if present is None or inside is None or inside.tenant != present.uid:
            return ListedPage([], None)
        names = TenantNames(dependencies.pseudonym_key, present.uid)
        since = max(query.since or inside.created_at, inside.created_at)
        selection = _selection(query, present)
        selection = selection._replace(workspace=ids["workspace"], since=since)
        selection = await _with_unknown(tx, schema, selection, names)
        rows = _rows(dependencies, tx, schema, selection, after, with_resource=True)
        page = _Page(selection, names, after, most, listed)
        region, path = dependencies.history.region, dict(ids)
        return await _shown(
            dependencies,
            _of_life(rows, inside),
            page,
            lambda row: activity_log(row, kind, path, names, region),
        )


async def tenant_entry(
    dependencies: ActivityDependencies,
    tenant: str,
    name: str,
    *,
    at_least: Sequence[Position] = (),
) -> bytes:
    """The item of `tenant_page` that has a name. Raises as that; NotFound where there is none."""
    async with _snapshot(dependencies, at_least) as (tx, schema):
        present = await _living(tx, {"tenant": tenant})
        if present is None:
            raise NotFound(f"there is no tenant {tenant}")
        names = TenantNames(dependencies.pseudonym_key, present.uid)
        selection = _selection(ActivityAsked(), present)
        rows = _named(dependencies, tx, schema, selection, name)
        return encode(item(await _single(rows, name), names))


async def workspace_entry(
    dependencies: ActivityDependencies,
    kind: Kind,
    ids: Ids,
    name: str,
    *,
    at_least: Sequence[Position] = (),
) -> bytes:
    """The item of `workspace_page` that has a name. Raises as that, and NotFound where there is
    none."""
    async with _snapshot(dependencies, at_least) as (tx, schema):
        present, inside = await _living(tx, ids), await _living(tx, ids, WORKSPACE)
        if present is None or inside is None or inside.tenant != present.uid:
            raise _not_there(name)
        names = TenantNames(dependencies.pseudonym_key, present.uid)
        selection = _selection(ActivityAsked(), present)
        selection = selection._replace(workspace=ids["workspace"], since=inside.created_at)
        rows = _named(dependencies, tx, schema, selection, name, with_resource=True)
        row, region = await _single(_of_life(rows, inside), name), dependencies.history.region
        read = len(row.resource or "") if isinstance(row, EventActivity) else 0
        shown = partial(activity_log, kind=kind, ids=dict(ids), names=names, region=region)
        return await in_proportion(read, partial(_encoded, shown, row))


def _named(
    dependencies: ActivityDependencies,
    tx: Tx,
    schema: str,
    selection: ActivitySelection,
    name: str,
    *,
    with_resource: bool = False,
) -> AsyncIterator[Activity]:
    """At most the one row of a selection that has a name."""
    at = named(name, dependencies.streams)
    if isinstance(at, datetime):
        since, until = max(selection.since or at, at), at + timedelta(hours=1, microseconds=-1)
        within = selection._replace(since=since, until=until)
        return activity.unknown_callers(tx, schema, within, BEFORE_ALL)
    if at is None:
        return newest_first([])
    single = selection._replace(at=at)
    return _rows(
        dependencies, tx, schema, single, BEFORE_ALL, with_resource=with_resource, counted=False
    )


async def _single(rows: AsyncIterator[Activity], name: str) -> Activity:
    async for row in rows:
        return row
    raise _not_there(name)


def _not_there(name: str) -> NotFound:
    return NotFound(f"the activity has no entry {name}")


def _selection(query: ActivityAsked, tenant: Resource) -> ActivitySelection:
    return ActivitySelection(
        tenant=tenant.uid,
        begun=tenant.created_at,
        actor=query.actor,
        verb=query.verb,
        kind=query.kind,
        outcome=query.outcome,
        statuses=None if query.problem is None else statuses_of(query.problem),
        since=query.since,
        until=query.until,
    )


async def _with_unknown(
    tx: Tx, schema: str, selection: ActivitySelection, names: TenantNames
) -> ActivitySelection:
    """The selection with the caller that a pseudonym names, if there is one."""
    if selection.actor is None or not is_pseudonym(selection.actor):
        return selection
    for issuer, sub in await activity.unknown_subs(tx, schema, selection.tenant):
        if pseudonym(names.key, names.uid, issuer, sub) == selection.actor:
            return selection._replace(unknown=(issuer, sub))
    return selection


def _rows(
    dependencies: ActivityDependencies,
    tx: Tx,
    schema: str,
    selection: ActivitySelection,
    after: ActivityKey,
    *,
    with_resource: bool = False,
    counted: bool = True,
) -> AsyncIterator[Activity]:
    """`counted`: with the requests of unknown callers."""
    sources: list[AsyncIterator[Activity]] = [
        _with_callers(
            dependencies.history.open_actor,
            activity.events(tx, selection, after, with_resource=with_resource),
            selection,
        ),
        activity.entries(tx, schema, selection, after),
    ]
    if counted:
        sources.append(activity.unknown_callers(tx, schema, selection, after))
    if selection.workspace is None:
        sources.append(activity.entries(tx, schema, selection, after, of_all=True))
    return newest_first(sources)


async def _with_callers(
    open_actor: OpenActor, rows: AsyncIterator[EventActivity], selection: ActivitySelection
) -> AsyncIterator[Activity]:
    """With their callers opened; only of the one that is asked for, by sub or by pseudonym."""
    async for row in rows:
        text = row.actor
        if text.startswith('"'):
            sealed, ref = _decode_sealed(text), Ref(row.kind, row.path)
            opened = await open_actor(sealed, ref, row.uid, selection.tenant, row.request)
            if selection.actor not in (None, opened.sub, opened.pseudonym):
                continue
            text = encode(opened).decode()
        yield row._replace(actor=text)


_decode_sealed = msgspec.json.Decoder(str).decode


async def _of_life(rows: AsyncIterator[Activity], workspace: Resource) -> AsyncIterator[Activity]:
    """Without events of a former life, which may have the time at which the present one began."""
    async for row in rows:
        if isinstance(row, EventActivity) and row.position < workspace.life:
            continue
        yield row


async def _shown(
    dependencies: ActivityDependencies,
    rows: AsyncIterator[Activity],
    page: _Page,
    shown: Callable[[Activity], Json],
) -> ListedPage:
    items, size, last, ended = list[bytes](), 0, page.after, True
    async for row in rows:
        if len(items) == page.limit or size >= READ_BYTES_MAX:
            ended = False
            break
        read = len(row.resource or "") if isinstance(row, EventActivity) else 0
        items.append(await in_proportion(read, partial(_encoded, shown, row)))
        size += len(items[-1])
        last = row.key
    if ended:
        return ListedPage(items, None)
    time, stream, sequence = last
    place = (f"{int(time.timestamp() * 1_000_000)} {stream}", sequence)
    return ListedPage(items, pages.skip_token(place, page.listed, dependencies.history.page_keys))


def _encoded(shown: Callable[[Activity], Json], row: Activity) -> bytes:
    return encode(shown(row))


def _after(dependencies: ActivityDependencies, token: str | None, listed: str) -> ActivityKey:
    place, sequence = pages.after(token, listed, dependencies.history.page_keys)
    if not place:
        return BEFORE_ALL
    micros, _, stream = place.partition(" ")
    seconds, rest = divmod(int(micros), 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest), stream, sequence


async def _living(tx: Tx, ids: Ids, kind: Kind = TENANT) -> Resource | None:
    """The tenant or the workspace of a path; None where there is none."""
    ref = kind.ref(ids, ids[kind.name])
    (row,) = await history.newest_events(tx, [ref])
    return None if row is None or row.ended else decode_resource(row.resource)


@asynccontextmanager
async def _snapshot(
    dependencies: ActivityDependencies, at_least: Sequence[Position]
) -> AsyncIterator[tuple[Tx, str]]:
    """A snapshot, and the schema of the group `activity` in it."""
    past, found = dependencies.history, list[str]()
    newest = await past.newest([each for each in at_least if each.stream in past.streams])
    end = await dependencies.entries_end()
    ends = {each.stream: each for each in (*newest, end)}
    if any(each > ends.get(each.stream, BEGINNING) for each in at_least):
        raise Unavailable(BEHIND)

    async def reached(tx: Tx) -> bool:
        schema = await active(tx, ACTIVITY)
        if schema is None:
            raise Unavailable(NOT_FILLED)
        found[:] = [schema]
        return await activity.checkpoint(tx, schema, end.stream) >= end.sequence

    async with past.share.snapshot(newest, reached) as tx:
        yield tx, found[0]
