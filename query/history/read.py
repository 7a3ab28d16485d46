"""The application service of history: a resource as it was, its events, the difference between two
points, and the event that set each field.

Authorization comes before it. Everything is from one snapshot of the history, which includes what
this process knew of when the request came, so that a life that has ended is not shown any more.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.errors import Malformed, NotFound, Unavailable
from secaplane.model.json_patch import bounded_patch
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource
from secaplane.query import builtin, pages
from secaplane.query.history import past
from secaplane.query.history.blame import Blame, BoundedFields
from secaplane.query.history.callers import OpenActor, with_caller
from secaplane.query.history.entries import entry
from secaplane.query.history.lives import decode_resource
from secaplane.query.history.past import PastResource
from secaplane.query.history.points import AsOf, Point
from secaplane.query.read import Ids, ListedPage, ReadResource
from secaplane.readmodel.history_row import HistoryRow
from secaplane.readmodel.history_share import HistoryShare
from secaplane.readmodel.list_share import BEHIND
from secaplane.readmodel.questions import history
from secaplane.readmodel.schema.tables import Tx

READ_BYTES_MAX = 4 * 1024 * 1024
"""Resources that one request reads, without the last one that still began below it."""
OPERATIONS_MAX = 1000
"""Operations of a patch; beyond it, each member of the answer that differs is replaced whole."""
_decode = msgspec.json.Decoder(Json).decode


@dataclass(frozen=True)
class HistoryDependencies:
    share: HistoryShare
    stream: Callable[[str], str]
    """(kind) -> the stream that records it."""
    streams: Sequence[str]
    """All streams of the log."""
    newest: Callable[[Sequence[Position]], Awaitable[Sequence[Position]]]
    """(positions that a request names) -> the newest position of each stream. The log is asked
    where this process may not know of it, or knows of none as late as those."""
    page_keys: Sequence[bytes]
    region: str
    clock: Callable[[], datetime]
    open_actor: OpenActor
    erased: Callable[[str], Awaitable[bool]]
    """(uid of a tenant's life) -> True if the contents of its events were erased."""


async def get(
    dependencies: HistoryDependencies,
    kind: Kind,
    ids: Ids,
    as_of: AsOf,
    at_least: Sequence[Position] = (),
) -> ReadResource:
    """One resource as a GET answered it then, with its secrets hidden.

    Raises:
        NotFound: there was no such resource then, or it was of a life that is not shown.
        Malformed: a position of a stream that does not record the kind.
        Damaged: one of its events could not be decoded or applied.
        Unavailable: the history cannot answer in time.
    """
    ref = past.stored_ref(kind, ids)
    async with snapshot(dependencies, kind, [as_of], at_least) as tx:
        if ids["name"] in kind.exposure.builtin_names:
            return await _builtin(dependencies, tx, kind, ids, as_of)
        resource = (await past.living_at(tx, ref, as_of)).resource
        body = await _document(dependencies, tx, kind, ids, resource, as_of)
    return ReadResource(body, resource.version if kind.is_versioned else 0, resource.uid)


async def entries(
    dependencies: HistoryDependencies,
    kind: Kind,
    ids: Ids,
    *,
    limit: str | None = None,
    skip_token: str | None = None,
    at_least: Sequence[Position] = (),
) -> ListedPage:
    """The events of the life that is shown, the newest first. A page also ends after
    READ_BYTES_MAX."""
    most, ref = pages.limit(limit), past.stored_ref(kind, ids)
    listed = f"history {ref.kind} {ref.path}"
    _, after = pages.after(skip_token, listed, dependencies.page_keys)
    items, last, read = list[bytes](), 0, 0
    async with snapshot(dependencies, kind, [], at_least) as tx:
        newest = await past.life(tx, ref)
        before = after or newest.row.sequence + 1
        rows = history.events(tx, ref, life=newest.resource.life.sequence, before=before)
        erased = await dependencies.erased(newest.resource.tenant)
        former: PastResource | None = None
        ended = True
        async for row in rows:
            present = PastResource(row, decode_resource(row.resource))
            if former is not None:
                items.append(await _entry(dependencies, former, present.resource, erased))
                last = former.row.sequence
            if len(items) == most or read >= READ_BYTES_MAX:
                ended = False
                break
            former, read = present, read + len(row.resource)
    if ended and former is not None:
        items.append(await _entry(dependencies, former, None, erased))
    token = None if ended else pages.skip_token(("", last), listed, dependencies.page_keys)
    return ListedPage(items, token)


async def diff(
    dependencies: HistoryDependencies,
    kind: Kind,
    ids: Ids,
    points: tuple[Point, Point | None],
    at_least: Sequence[Position] = (),
) -> bytes:
    """The JSON Patch that makes the answer of a GET as of the second point of that as of the first;
    without a second point, of the newest state."""
    ref = past.stored_ref(kind, ids)
    async with snapshot(dependencies, kind, points, at_least) as tx:
        states = list[tuple[PastResource, Json]]()
        for each in points:
            as_of = await _moment(tx, ref, each)
            found = await past.living_at(tx, ref, as_of)
            body = await _document(dependencies, tx, kind, ids, found.resource, as_of)
            states.append((found, _decode(body)))
    (first, old), (second, new) = states
    compared = {"from": _state(first), "to": _state(second)}
    return await in_proportion(
        len(first.row.resource) + len(second.row.resource),
        lambda: encode(compared | {"patch": bounded_patch(old, new, OPERATIONS_MAX)}),
    )


async def blame(
    dependencies: HistoryDependencies, kind: Kind, ids: Ids, at_least: Sequence[Position] = ()
) -> bytes:
    """The event that set each field of the newest desired state as it is."""
    ref, read = past.stored_ref(kind, ids), 0
    async with snapshot(dependencies, kind, [], at_least) as tx:
        newest = await past.life(tx, ref)
        rows = history.events(
            tx,
            ref,
            life=newest.resource.life.sequence,
            before=newest.row.sequence + 1,
            desired_state_only=True,
        )
        found: Blame | None = None
        whole = True
        async for row in rows:
            if found is not None and (found.complete or read >= READ_BYTES_MAX):
                whole = False
                break
            read += len(row.resource)
            resource = decode_resource(row.resource)
            if found is None:
                found = Blame(row, resource)
            else:
                await in_proportion(len(row.resource), partial(found.older, row, resource))
    if found is None or await dependencies.erased(newest.resource.tenant):
        return encode({"of": _state(newest), "fields": []})
    fields, rows_by = BoundedFields(), dict[int, HistoryRow]()
    for pointer, by in found.ended(whole=whole):
        if fields.full:
            break
        if (each := rows_by.get(by.row.sequence)) is None:
            tenant = newest.resource.tenant
            each = await with_caller(dependencies.open_actor, by.row, ref, tenant)
            rows_by[by.row.sequence] = each
        fields.append(pointer, by._replace(row=each))
    return fields.answer(_state(newest))


async def _document(
    dependencies: HistoryDependencies, tx: Tx, kind: Kind, ids: Ids, resource: Resource, as_of: AsOf
) -> bytes:
    region = dependencies.region
    if await dependencies.erased(resource.tenant):
        return past.erased_document(kind, resource, region=region)
    return await past.shown_document(tx, kind, ids, resource, as_of, region=region)


async def _entry(
    dependencies: HistoryDependencies,
    event: PastResource,
    before: Resource | None,
    erased: bool,
) -> bytes:
    resource = event.resource
    row = await with_caller(dependencies.open_actor, event.row, resource.ref, resource.tenant)
    return await in_proportion(
        len(row.resource), lambda: encode(entry(row, resource, before, erased=erased))
    )


async def _moment(tx: Tx, ref: Ref, point: Point | None) -> AsOf:
    if point is None:
        return (await past.life(tx, ref)).row.position
    return await past.resolved(tx, ref, point)


def _state(found: PastResource) -> Json:
    return {
        "position": str(found.row.position),
        "time": found.row.time,
        "resourceVersion": found.resource.version,
    }


@asynccontextmanager
async def snapshot(
    dependencies: HistoryDependencies,
    kind: Kind,
    points: Sequence[Point | None],
    at_least: Sequence[Position],
) -> AsyncIterator[Tx]:
    """A snapshot that includes what is known, and the positions that the request names.

    Raises:
        Malformed: a position of a stream that does not record the kind, or one that the log has not
            reached: its answer would change.
        Unavailable: the history has not reached a position in time, or answers too slowly.
    """
    named = [each for each in points if isinstance(each, Position)]
    stream = dependencies.stream(kind.name)
    for each in named:
        if each and each.stream != stream:
            detail = f"{each} is a position of another stream than that of a {kind.name}: name a"
            raise Malformed(f"{detail} time, or a position that a {kind.name} has had")
    newest = await dependencies.newest([*named, *at_least])
    ends = {each.stream: each for each in newest}
    for each in named:
        if each > ends.get(stream, BEGINNING):
            raise Malformed(f"{each} is a position that is not past yet: name an earlier one")
    if any(each > ends.get(each.stream, BEGINNING) for each in at_least):
        raise Unavailable(BEHIND)
    async with dependencies.share.snapshot(newest) as tx:
        yield tx


async def _builtin(
    dependencies: HistoryDependencies, tx: Tx, kind: Kind, ids: Ids, as_of: AsOf
) -> ReadResource:
    """A builtin resource is shown as if created with its tenant."""
    of_tenants, tenant = KINDS["tenant"], {"name": ids["tenant"]}
    found = await past.living_at(tx, past.stored_ref(of_tenants, tenant), as_of)
    document = await past.shown_document(
        tx, of_tenants, tenant, found.resource, as_of, region=dependencies.region
    )
    for row in builtin.rows(kind, ids, document.decode()):
        if row.name == ids["name"] and row.document is not None:
            return ReadResource(row.document.encode(), 1, "")
    raise NotFound(f"there is no {kind.name} {ids['name']}")
