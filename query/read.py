"""The application service of the read side: one resource, or a page of a collection.

A GET is one SELECT. HTTP (`query.http`), subcommands and tests call it; authorization comes before
it (`edge.guard`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from secaplane.kinds import KINDS, log_ref
from secaplane.kinds.advice import to_find_or_create
from secaplane.model.document import encode
from secaplane.model.errors import NotFound, Unavailable
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, LifeIds, Ref
from secaplane.query import builtin, pages, selectors
from secaplane.query.by_name import READ_S_MAX, ByName
from secaplane.readmodel import questions
from secaplane.readmodel.list_share import BEHIND, TOO_LONG, ListShare
from secaplane.readmodel.selection import limited_to
from secaplane.sealing.life_sealers import Sealed
from secaplane.sealing.sealer import Sealer

SEALED = '"sealed:'
"""The beginning of every sealed string; a document without one is answered as it is stored."""
_decode = msgspec.json.Decoder(Json).decode


class _Metadata(msgspec.Struct, frozen=True):
    version: int = msgspec.field(name="resourceVersion", default=0)


class _Versioned(msgspec.Struct, frozen=True):
    """The part of a document that holds its version."""

    metadata: _Metadata


_decode_version = msgspec.json.Decoder(_Versioned).decode

Ids = Mapping[str, str]
"""The names in a path: `tenant`, `workspace`, ..., and `name`."""


@dataclass(frozen=True)
class ReadDependencies:
    lists: ListShare
    by_name: ByName
    opening: Callable[[Kind, Sequence[Sealed]], Awaitable[Sealer]]
    """(kind, what documents hold sealed) -> a sealer that opens it."""
    page_keys: Sequence[bytes]
    """Keys of skipTokens; the first one signs."""


class ListQuery(msgspec.Struct, frozen=True):
    """The parameters of a list, as the client sent them, and what the caller may see of it."""

    limit: str | None = None
    labels: str = ""
    skip_token: str | None = None
    deleted: bool | None = False
    """False leaves out what is gone or being deleted, True shows only that, None shows all."""
    names: Sequence[str] | None = None
    """Not sent: the names that the caller may see; None shows all."""


class ReadResource(msgspec.Struct, frozen=True):
    document: bytes
    """JSON, as this caller sees it."""
    version: int
    """`resourceVersion`; 0 for kinds that have none."""
    uid: str
    """Of the life that is shown; empty for a builtin resource."""


class ListedPage(msgspec.Struct, frozen=True):
    items: Sequence[bytes]
    """Documents (JSON)."""
    skip_token: str | None
    """None on the last page."""


async def get(
    dependencies: ReadDependencies, kind: Kind, ids: Ids, at_least: Sequence[Position] = ()
) -> ReadResource:
    """One resource, not older than some positions.

    Raises:
        NotFound: there is no such resource.
        Damaged: one of its events could not be decoded or applied.
        Unavailable: neither the log nor the rows can answer.
    """
    required = await _required(dependencies, kind, at_least)
    name, uid, life_ids = ids["name"], "", None
    if name in kind.exposure.builtin_names:
        document = await _builtin(dependencies, kind, ids, name)
    else:
        found = await dependencies.by_name.living(log_ref(kind.ref(ids, name)), required)
        if found is None:
            raise NotFound(f"there is no {kind.name} {name}; {to_find_or_create(kind, ids)}")
        document, uid, life_ids = found.document, found.uid, found.life_ids
    (body,) = await _shown(dependencies, kind, ids, [(document, life_ids)])
    return ReadResource(body, _decode_version(body).metadata.version, uid)


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
    try:
        async with asyncio.timeout(READ_S_MAX):
            return await _page(dependencies, kind, ids, query, at_least)
    except TimeoutError as error:
        raise Unavailable(TOO_LONG) from error


async def _page(
    dependencies: ReadDependencies,
    kind: Kind,
    ids: Ids,
    query: ListQuery,
    at_least: Sequence[Position],
) -> ListedPage:
    limit, path = pages.limit(query.limit), kind.collection.format_map(ids)
    terms = selectors.terms(query.labels) if query.labels else []
    listed = f"{kind.name} {path} {query.deleted} {query.labels}"
    after = pages.after(query.skip_token, listed, dependencies.page_keys)
    if await dependencies.by_name.missing(at_least):
        raise Unavailable(BEHIND)
    await dependencies.by_name.caught_up(ids.get("tenant", ""))
    selection = limited_to(selectors.selection(terms), query.names)
    scans = selection.scans or query.deleted is True
    async with dependencies.lists.rows(scans=scans, at_least=at_least) as found:
        rows = await questions.page(
            found,
            kind.name,
            _stored(kind, path),
            after=after,
            limit=limit + 1,
            deleted=query.deleted,
            selection=selection,
        )
    if kind.exposure.builtin_names and query.deleted is not True and selectors.bare(terms):
        builtins = [
            row
            for row in await _builtins(dependencies, kind, ids)
            if query.names is None or row.name in query.names
        ]
        rows = builtin.page(rows, builtins, after=after, limit=limit + 1)
    shown = [row for row in rows[:limit] if row.document is not None]
    token = None
    if len(rows) > len(shown):
        last = rows[len(shown) - 1]
        token = pages.skip_token((last.name, last.life), listed, dependencies.page_keys)
    stored = [(row.document, row.life_ids) for row in shown if row.document is not None]
    items = await _shown(dependencies, kind, ids, stored)
    return ListedPage(items, token)


async def _required(
    dependencies: ReadDependencies, kind: Kind, at_least: Sequence[Position]
) -> Position:
    """The position that the rows have not reached in time and the log has to include; BEGINNING
    where they have reached all.

    Raises:
        Unavailable: it is a position of another stream than the kind's.
    """
    missing = await dependencies.by_name.missing(at_least) if at_least else ()
    stream = dependencies.by_name.stream(kind.name)
    if any(each.stream != stream for each in missing):
        raise Unavailable(BEHIND)
    return max(missing, default=BEGINNING)


async def _builtin(dependencies: ReadDependencies, kind: Kind, ids: Ids, name: str) -> str:
    for row in await _builtins(dependencies, kind, ids):
        if row.name == name and row.document is not None:
            return row.document
    raise NotFound(f"there is no tenant {ids['tenant']}")


async def _builtins(dependencies: ReadDependencies, kind: Kind, ids: Ids) -> list[questions.Row]:
    tenant = await dependencies.by_name.living(KINDS["tenant"].ref({}, ids["tenant"]))
    return builtin.rows(kind, ids, tenant.document if tenant else None)


def _stored(kind: Kind, collection: str) -> str:
    """The collection in the log and in the tables."""
    return log_ref(Ref(kind.name, f"{collection}/-")).collection


async def _shown(
    dependencies: ReadDependencies,
    kind: Kind,
    ids: Ids,
    stored: Sequence[tuple[str, LifeIds | None]],
) -> list[bytes]:
    """Stored documents as this caller sees them; nearly always as they are stored."""
    if kind.backing is Backing.CATALOGUE and kind.scope:
        return [in_tenant(kind, ids["tenant"], document) for document, _ in stored]
    if kind.has_secrets and any(SEALED in document for document, _ in stored):
        return await _opened(dependencies, kind, stored)
    return [document.encode() for document, _ in stored]


async def _opened(
    dependencies: ReadDependencies, kind: Kind, stored: Sequence[tuple[str, LifeIds | None]]
) -> list[bytes]:
    documents = [
        (life, _decode(document)) if life is not None and SEALED in document else document
        for document, life in stored
    ]
    held = [
        Sealed(each[0], each[1].get("spec", {}), each[1].get("status", {}))
        for each in documents
        if not isinstance(each, str)
    ]
    sealer = await dependencies.opening(kind, held)
    return [
        each.encode() if isinstance(each, str) else encode(sealer.open_shown(kind, *each))
        for each in documents
    ]


def in_tenant(kind: Kind, tenant: str, document: str) -> bytes:
    """The catalogue is stored once, and shown in every tenant."""
    shown = _decode(document)
    name = shown["metadata"]["name"]
    shown["metadata"]["tenant"] = tenant
    shown["metadata"]["ref"] = kind.urn(kind.ref({"tenant": tenant}, name))
    return encode(shown)
