"""GET and LIST routes, made from the catalogue. A GET is one SELECT."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from asyncpg import Pool
from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import RequestContext, request_context
from secaplane.edge.requests.paths import template
from secaplane.kinds import KINDS, log_ref
from secaplane.model.document import encode
from secaplane.model.errors import Malformed, NotFound, Unavailable
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import Position, parse_all
from secaplane.model.shape import Json, Ref
from secaplane.query import constants, pages, selectors
from secaplane.readmodel import questions
from secaplane.readmodel.batching import BatchedReads

JSON = "application/json"
SEALED = '"sealed:'
"""How every sealed string begins; what holds none is answered as it stands."""
AT_LEAST = b"secaplane-at-least"
PARAMETERS = ("labels", "limit", "skipToken")
READS = [HttpMethod.GET, HttpMethod.HEAD]

_plain = msgspec.json.Decoder(Json).decode


class Quarantined(Exception):
    """This address holds an event that could not be applied; what its row says is not the truth."""


@dataclass(frozen=True)
class ReadDependencies:
    """What the read side needs: tables, and what `cli` hands it instead of the log."""

    pool: Pool
    together: BatchedReads
    guard: Guard
    reached: Callable[[Sequence[Position]], Awaitable[bool]]
    opened: Callable[[Kind, Ref, Json], Json]
    """(kind, ref, a whole resource as it is shown) -> the same with its secrets open."""
    page_keys: Sequence[bytes]


def routes(dependencies: ReadDependencies) -> list[HTTPRouteHandler]:
    gets = [_get(kind, dependencies) for kind in KINDS.values() if "get" in kind.verbs]
    return [*gets, *(_list(kind, dependencies) for kind in KINDS.values())]


def _get(kind: Kind, dependencies: ReadDependencies) -> HTTPRouteHandler:
    items = [template(f"{url}/{{name}}") for url in kind.urls]

    @route(items, http_method=READS, name=f"Get{kind.title} {kind.name}")
    async def get_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.header(b"accept"))
        name = ids["name"]
        await dependencies.guard.admit(context, "get", kind, ids, name)
        await _fresh_enough(dependencies, context)
        if name in kind.exposure.builtin_names:
            document = await _constant(kind, dependencies, ids, name)
        else:
            document = await _recorded(kind, dependencies, ids, name)
        return _answered(context, _shown(kind, dependencies, document, ids))

    return get_resource


async def _recorded(
    kind: Kind, dependencies: ReadDependencies, ids: Mapping[str, str], name: str
) -> str:
    ref = log_ref(kind.ref(ids, name))
    found = await dependencies.together.one(ref)
    if found is None:
        if await questions.quarantined(dependencies.pool, ref):
            raise Quarantined(ref.path)
        raise NotFound(f"there is no {kind.name} {name}; create it with PUT")
    document, quarantined = found
    if quarantined:
        raise Quarantined(ref.path)
    return document


async def _constant(
    kind: Kind, dependencies: ReadDependencies, ids: Mapping[str, str], name: str
) -> str:
    for row in await _constants(kind, dependencies, ids):
        if row.name == name:
            return row.document
    raise NotFound(f"there is no tenant {ids['tenant']}")


async def _constants(
    kind: Kind, dependencies: ReadDependencies, ids: Mapping[str, str]
) -> list[questions.Row]:
    tenant = await dependencies.together.one(KINDS["tenant"].ref({}, ids["tenant"]))
    return constants.rows(kind, ids, tenant[0] if tenant else None)


def _list(kind: Kind, dependencies: ReadDependencies) -> HTTPRouteHandler:
    @route([*map(template, kind.urls)], http_method=READS, name=f"List{kind.title} {kind.name}")
    async def list_resources(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        deleted = parsing.deleted(context.header(b"accept"))
        await dependencies.guard.admit(context, "list", kind, ids)
        query = _query(request)
        limit = pages.limit(query.get("limit"))
        selector = query.get("labels", "")
        chosen = selectors.terms(selector) if selector else []
        path = kind.collection.format_map(ids)
        listed = f"{kind.name} {path} {deleted} {selector}"
        after = pages.after(query.get("skipToken"), listed, dependencies.page_keys)
        await _fresh_enough(dependencies, context)
        rows = await questions.page(
            dependencies.pool,
            kind.name,
            _stored(kind, path),
            after=after,
            limit=limit + 1,
            deleted=deleted,
            choice=selectors.choice(chosen),
        )
        if kind.exposure.builtin_names and deleted is not True and selectors.bare(chosen):
            always = await _constants(kind, dependencies, ids)
            rows = constants.page(rows, always, after=after, limit=limit + 1)
        token = None
        if len(rows) > limit:
            last = rows[limit - 1]
            token = pages.skip_token((last.name, last.life), listed, dependencies.page_keys)
        items = [_shown(kind, dependencies, row.document, ids) for row in rows[:limit]]
        return _answered(context, _listing(kind, path, items, token))

    return list_resources


def _query(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The parameters we know, each at most once; others are left alone, as SECA clients may add
    some.

    Raises:
        Malformed: one stands there twice, or cannot be decoded.
    """
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=64,
        )
    except ValueError as error:
        raise Malformed("the query cannot be read", parameter="query") from error
    known = [(key, value) for key, value in pairs if key in PARAMETERS]
    for key, _ in known:
        if sum(1 for other, _ in known if other == key) > 1:
            raise Malformed(f"{key} stands there twice", parameter=key)
    return dict(known)


async def _fresh_enough(dependencies: ReadDependencies, context: RequestContext) -> None:
    """`Secaplane-At-Least`: read at least what a write's `Secaplane-Position` named."""
    wanted = context.header(AT_LEAST)
    if wanted is None:
        return
    try:
        positions = parse_all(wanted)
    except ValueError as error:
        raise Malformed(
            "Secaplane-At-Least takes the Secaplane-Position of a write",
            parameter="Secaplane-At-Least",
        ) from error
    if not await dependencies.reached(positions):
        raise Unavailable("the read model has not got there yet; try again")


def _stored(kind: Kind, collection: str) -> str:
    """Where a collection lies in the log."""
    return log_ref(Ref(kind.name, f"{collection}/-")).collection


def _shown(kind: Kind, dependencies: ReadDependencies, document: str, ids: Json) -> bytes:
    """A row's document as this caller sees it: nearly always as it stands."""
    if kind.backing is Backing.CATALOGUE and kind.scope:
        return _as_own(kind, document, ids["tenant"])
    if kind.has_secrets:
        return _unsealed(kind, dependencies, document, ids)
    return document.encode()


def _as_own(kind: Kind, document: str, tenant: str) -> bytes:
    shown = _plain(document)
    name = shown["metadata"]["name"]
    shown["metadata"]["tenant"] = tenant
    shown["metadata"]["ref"] = kind.urn(kind.ref({"tenant": tenant}, name))
    return encode(shown)


def _unsealed(kind: Kind, dependencies: ReadDependencies, document: str, ids: Json) -> bytes:
    if SEALED not in document:
        return document.encode()
    shown = _plain(document)
    return encode(dependencies.opened(kind, kind.ref(ids, shown["metadata"]["name"]), shown))


def _listing(kind: Kind, path: str, items: list[bytes], token: str | None) -> bytes:
    metadata = {
        "provider": kind.provider.full_name,
        "resource": kind.resource(path),
        "verb": "GET",
    }
    if token is not None:
        metadata["skipToken"] = token
    return b'{"items":[' + b",".join(items) + b'],"metadata":' + encode(metadata) + b"}"


def _answered(context: RequestContext, body: bytes) -> ASGIResponse:
    """ETag and 304 (RFC 9110, sections 8.8.3 and 13.1.2)."""
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    asked = context.header(b"if-none-match")
    if asked is not None and (asked.strip() == "*" or etag in asked):
        return ASGIResponse(status_code=304, headers={"ETag": etag})
    return ASGIResponse(body=body, headers={"ETag": etag}, media_type=JSON)
