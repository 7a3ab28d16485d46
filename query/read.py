"""The application service of the read side: one resource, or a page of a collection.

A GET is one SELECT. HTTP (`query.http`), subcommands and tests call it; authorization comes before
it (`edge.guard`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from asyncpg import Pool

from secaplane.kinds import KINDS, log_ref
from secaplane.model.document import encode
from secaplane.model.errors import Damaged, NotFound, Unavailable
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import Position
from secaplane.model.shape import Json, LifeIds, Ref
from secaplane.query import builtin, pages, selectors
from secaplane.readmodel import questions
from secaplane.readmodel.batching import BatchedReads
from secaplane.readmodel.list_share import ListShare

SEALED = '"sealed:'
"""The beginning of every sealed string; a document without one is answered as it is stored."""
_decode = msgspec.json.Decoder(Json).decode

Ids = Mapping[str, str]
"""The names in a path: `tenant`, `workspace`, ..., and `name`."""


@dataclass(frozen=True)
class ReadDependencies:
    pool: Pool
    lists: ListShare
    batched: BatchedReads
    reached: Callable[[Sequence[Position]], Awaitable[bool]]
    """Wait until the rows have reached some positions; False if they do not in time."""
    open_secrets: Callable[[Kind, LifeIds, Json], Json]
    """(kind, life, a document) -> the same with its secrets in clear."""
    page_keys: Sequence[bytes]
    """Keys of skipTokens; the first one signs."""


class ListQuery(msgspec.Struct, frozen=True):
    """The parameters of a list, as the client sent them."""

    limit: str | None = None
    labels: str = ""
    skip_token: str | None = None
    deleted: bool | None = False
    """False leaves out what is gone or being deleted, True shows only that, None shows all."""


class ListedPage(msgspec.Struct, frozen=True):
    items: Sequence[bytes]
    """Documents (JSON)."""
    skip_token: str | None
    """None on the last page."""


async def get(
    dependencies: ReadDependencies, kind: Kind, ids: Ids, at_least: Sequence[Position] = ()
) -> bytes:
    """The document of one resource (JSON), from rows that have reached some positions.

    Raises:
        NotFound: there is no such resource.
        Damaged: one of its events could not be decoded or applied.
        Unavailable: the rows have not reached a position in time.
    """
    await _wait(dependencies, at_least)
    name = ids["name"]
    if name in kind.exposure.builtin_names:
        document, life_ids = await _builtin(dependencies, kind, ids, name), None
    else:
        document, life_ids = await _recorded(dependencies, kind, ids, name)
    return _shown(dependencies, kind, ids, document, life_ids)


async def list_page(
    dependencies: ReadDependencies,
    kind: Kind,
    ids: Ids,
    query: ListQuery,
    at_least: Sequence[Position] = (),
) -> ListedPage:
    """A page of a collection in the order (name, life), from rows that have reached some positions.

    Raises:
        Malformed: a parameter cannot be parsed, or the skipToken belongs to another list.
        Unavailable: the rows have not reached a position in time, or the list took too long.
    """
    limit = pages.limit(query.limit)
    terms = selectors.terms(query.labels) if query.labels else []
    path = kind.collection.format_map(ids)
    listed = f"{kind.name} {path} {query.deleted} {query.labels}"
    after = pages.after(query.skip_token, listed, dependencies.page_keys)
    await _wait(dependencies, at_least)
    selection = selectors.selection(terms)
    scans = selection.scans or query.deleted is True
    async with dependencies.lists.pool(scans=scans) as pool:
        rows = await questions.page(
            pool,
            kind.name,
            _stored(kind, path),
            after=after,
            limit=limit + 1,
            deleted=query.deleted,
            selection=selection,
        )
    if kind.exposure.builtin_names and query.deleted is not True and selectors.bare(terms):
        builtins = await _builtins(dependencies, kind, ids)
        rows = builtin.page(rows, builtins, after=after, limit=limit + 1)
    token = None
    if len(rows) > limit:
        last = rows[limit - 1]
        token = pages.skip_token((last.name, last.life), listed, dependencies.page_keys)
    items = [_shown(dependencies, kind, ids, row.document, row.life_ids) for row in rows[:limit]]
    return ListedPage(items, token)


async def _wait(dependencies: ReadDependencies, positions: Sequence[Position]) -> None:
    if positions and not await dependencies.reached(positions):
        raise Unavailable("the read model has not reached this position yet; try again")


async def _recorded(
    dependencies: ReadDependencies, kind: Kind, ids: Ids, name: str
) -> tuple[str, LifeIds | None]:
    ref = log_ref(kind.ref(ids, name))
    found = await dependencies.batched.one(ref)
    if found is None:
        if await questions.quarantined(dependencies.pool, ref):
            raise Damaged("in quarantine")
        raise NotFound(f"there is no {kind.name} {name}; create it with PUT")
    document, quarantined, life_ids = found
    if quarantined:
        raise Damaged("in quarantine")
    return document, life_ids


async def _builtin(dependencies: ReadDependencies, kind: Kind, ids: Ids, name: str) -> str:
    for row in await _builtins(dependencies, kind, ids):
        if row.name == name:
            return row.document
    raise NotFound(f"there is no tenant {ids['tenant']}")


async def _builtins(dependencies: ReadDependencies, kind: Kind, ids: Ids) -> list[questions.Row]:
    tenant = await dependencies.batched.one(KINDS["tenant"].ref({}, ids["tenant"]))
    return builtin.rows(kind, ids, tenant[0] if tenant else None)


def _stored(kind: Kind, collection: str) -> str:
    """The collection in the log and in the tables."""
    return log_ref(Ref(kind.name, f"{collection}/-")).collection


def _shown(
    dependencies: ReadDependencies,
    kind: Kind,
    ids: Ids,
    document: str,
    life_ids: LifeIds | None,
) -> bytes:
    """A stored document as this caller sees it; nearly always as it is stored."""
    if kind.backing is Backing.CATALOGUE and kind.scope:
        return _in_tenant(kind, ids["tenant"], document)
    if life_ids is not None and SEALED in document:
        return encode(dependencies.open_secrets(kind, life_ids, _decode(document)))
    return document.encode()


def _in_tenant(kind: Kind, tenant: str, document: str) -> bytes:
    """The catalogue is stored once, and shown in every tenant."""
    shown = _decode(document)
    name = shown["metadata"]["name"]
    shown["metadata"]["tenant"] = tenant
    shown["metadata"]["ref"] = kind.urn(kind.ref({"tenant": tenant}, name))
    return encode(shown)
