"""A page of a collection as it was at a point of the past."""

import asyncio
from collections.abc import Sequence

from secaplane.kinds import KINDS, log_ref, parents
from secaplane.kinds.views import AS_OF
from secaplane.model.desired import with_secrets_hidden
from secaplane.model.document import document, encode
from secaplane.model.errors import Malformed, NotFound
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource
from secaplane.query import builtin, pages, selectors
from secaplane.query.history import past
from secaplane.query.history.derived import derived
from secaplane.query.history.lives import began_in_present_lives, decode_resource
from secaplane.query.history.points import AsOf
from secaplane.query.history.read import READ_BYTES_MAX, HistoryDependencies, snapshot
from secaplane.query.matching import matches
from secaplane.query.read import Ids, ListedPage, ListQuery, in_tenant
from secaplane.query.selectors import Term
from secaplane.readmodel.questions import Row, history
from secaplane.readmodel.questions.derived import shown
from secaplane.readmodel.schema.tables import Tx

ROWS_AT_ONCE = 50
"""Items that are made without a pause."""


async def list_page(
    dependencies: HistoryDependencies,
    kind: Kind,
    ids: Ids,
    query: ListQuery,
    as_of: AsOf,
    at_least: Sequence[Position] = (),
) -> ListedPage:
    """A page of what a list showed then, in the order of names, of lives that are shown (`past`),
    with secrets hidden. It also ends after READ_BYTES_MAX.

    Raises:
        Malformed: as a list, or deleted resources are asked for.
        Unavailable: the history cannot answer in time.
    """
    if query.deleted is not False:
        raise Malformed("a list as of then shows no deleted resources", parameter=AS_OF)
    limit, path = pages.limit(query.limit), kind.collection.format_map(ids)
    terms = selectors.terms(query.labels) if query.labels else []
    listed = f"{kind.name} {path} {query.labels} as of {as_of}"
    after = pages.after(query.skip_token, listed, dependencies.page_keys)
    async with snapshot(dependencies, kind, [as_of], at_least) as tx:
        found, cut = await _found(tx, kind, ids, query, as_of, terms, after[0], limit + 1)
        rows = await _rows(tx, kind, ids, found, as_of, dependencies.region)
        if kind.exposure.builtin_names and selectors.bare(terms):
            builtins = await _builtins(tx, kind, ids, query, as_of, dependencies.region)
            rows = builtin.page(rows, builtins, after=after, limit=limit + 1)
    if cut:
        rows = [each for each in rows if each.name <= found[-1].ref.name]
    fit = _fitting(rows[:limit])
    token = None
    if cut or len(rows) > len(fit):
        last = fit[-1]
        token = pages.skip_token((last.name, last.life), listed, dependencies.page_keys)
    return ListedPage([each.document.encode() for each in fit if each.document is not None], token)


async def _found(
    tx: Tx,
    kind: Kind,
    ids: Ids,
    query: ListQuery,
    as_of: AsOf,
    terms: Sequence[Term],
    after: str,
    most: int,
) -> tuple[list[Resource], bool]:
    """The resources of the page, and the first of the next one; True where the page was cut after
    them, because they are large."""
    collection = log_ref(Ref(kind.name, f"{kind.collection.format_map(ids)}/-")).collection
    above = await history.newest_events(tx, parents(Ref(kind.name, f"{collection}/-")))
    found, size = list[Resource](), 0
    rows = history.living_within(
        tx, kind.name, collection, as_of, after=f"{collection}/{after}", newest_life=True
    )
    async for row in rows:
        resource = decode_resource(row.resource)
        if (
            resource.terminating
            or not matches(terms, resource.labels or {})
            or not (query.names is None or resource.ref.name in query.names)
            or not began_in_present_lives(resource, above)
        ):
            continue
        found.append(resource)
        size += len(row.resource)
        if len(found) == most:
            break
        if size >= READ_BYTES_MAX:
            return found, True
    return found, False


async def _rows(
    tx: Tx, kind: Kind, ids: Ids, found: Sequence[Resource], as_of: AsOf, region: str
) -> list[Row]:
    fields = await derived(tx, [each.ref for each in found], as_of)
    rows = list[Row]()
    for n, each in enumerate(found):
        if n % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)  # others are answered meanwhile
        made = encode(document(kind, with_secrets_hidden(kind, each), region=region)).decode()
        if kind.backing is Backing.CATALOGUE and kind.scope:
            made = in_tenant(kind, ids["tenant"], made).decode()
        elif each.ref in fields:
            made = shown(made, *fields[each.ref])
        rows.append(Row(made, each.ref.name, each.life.sequence))
    return rows


def _fitting(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a page by bytes: at least one, if there is one."""
    size = 0
    for n, row in enumerate(rows):
        if size >= READ_BYTES_MAX:
            return rows[:n]
        size += len(row.document or "")
    return rows


async def _builtins(
    tx: Tx, kind: Kind, ids: Ids, query: ListQuery, as_of: AsOf, region: str
) -> list[Row]:
    """Builtin resources exist as long as their tenant."""
    of_tenants, tenant = KINDS["tenant"], {"name": ids["tenant"]}
    try:
        then = await past.living_at(tx, past.stored_ref(of_tenants, tenant), as_of)
    except NotFound:
        return []
    made = await past.shown_document(tx, of_tenants, tenant, then.resource, as_of, region=region)
    rows = builtin.rows(kind, ids, made.decode())
    return [each for each in rows if query.names is None or each.name in query.names]
