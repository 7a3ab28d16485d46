"""GET and LIST over HTTP: routes for every kind, parameters, ETag."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import RequestContext, request_context
from secaplane.edge.requests.paths import template
from secaplane.edge.requests.preconditions import not_modified
from secaplane.edge.serving.answer import Answer, not_modified_answer
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.errors import Malformed
from secaplane.model.kind import Kind
from secaplane.model.position import Position, parse_all
from secaplane.model.precondition import digest, tag
from secaplane.query import read
from secaplane.query.read import ListedPage, ListQuery, ReadDependencies

AT_LEAST = b"secaplane-at-least"
PARAMETERS = ("labels", "limit", "skipToken")
PARAMETERS_MAX = 64
METHODS = [HttpMethod.GET, HttpMethod.HEAD]


def routes(dependencies: ReadDependencies, guard: Guard) -> list[HTTPRouteHandler]:
    gets = [_get(kind, dependencies, guard) for kind in KINDS.values() if "get" in kind.verbs]
    return [*gets, *(_list(kind, dependencies, guard) for kind in KINDS.values())]


def _get(kind: Kind, dependencies: ReadDependencies, guard: Guard) -> HTTPRouteHandler:
    items = [template(f"{url}/{{name}}") for url in kind.urls]

    @route(items, http_method=METHODS, name=f"Get{kind.title} {kind.name}")
    async def get_resource(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.listed(b"accept"))
        await guard.admit(context, "get", kind, ids, ids["name"])
        found = await read.get(dependencies, kind, ids, _at_least(context))
        return _answer(context, found.document, tag(found.document, found.version, found.uid))

    return get_resource


def _list(kind: Kind, dependencies: ReadDependencies, guard: Guard) -> HTTPRouteHandler:
    @route([*map(template, kind.urls)], http_method=METHODS, name=f"List{kind.title} {kind.name}")
    async def list_resources(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        deleted = parsing.deleted(context.listed(b"accept"))
        names = await guard.admit_list(context, kind, ids)
        sent = _parameters(request)
        query = ListQuery(
            sent.get("limit"), sent.get("labels", ""), sent.get("skipToken"), deleted, names
        )
        page = await read.list_page(dependencies, kind, ids, query, _at_least(context))
        body = _body(kind, kind.collection.format_map(ids), page)
        return _answer(context, body, f'"{digest(body)}"')

    return list_resources


def _parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The known parameters, each at most once; others are ignored, because SECA clients may add
    some.

    Raises:
        Malformed: a parameter is repeated, or cannot be decoded.
    """
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:
        raise Malformed("the query cannot be decoded", parameter="query") from error
    known = [(key, value) for key, value in pairs if key in PARAMETERS]
    for key, _ in known:
        if sum(1 for other, _ in known if other == key) > 1:
            raise Malformed(f"{key} is repeated; send it once", parameter=key)
    return dict(known)


def _at_least(context: RequestContext) -> Sequence[Position]:
    """`Secaplane-At-Least`: the `Secaplane-Position` of a write that the answer must include."""
    sent = context.listed(AT_LEAST)
    if sent is None:
        return ()
    try:
        return parse_all(sent)
    except ValueError as error:
        raise Malformed(
            "Secaplane-At-Least takes the Secaplane-Position of a write",
            parameter="Secaplane-At-Least",
        ) from error


def _body(kind: Kind, path: str, page: ListedPage) -> bytes:
    metadata = {
        "provider": kind.provider.full_name,
        "resource": kind.resource(path),
        "verb": "GET",
    }
    if page.skip_token is not None:
        metadata["skipToken"] = page.skip_token
    return b'{"items":[' + b",".join(page.items) + b'],"metadata":' + encode(metadata) + b"}"


def _answer(context: RequestContext, body: bytes, etag: str) -> Answer:
    """With an ETag; 304 where the client has this body (RFC 9110, sections 8.8.3 and 13.1.2)."""
    if not_modified(context, etag):
        return not_modified_answer({"ETag": etag})
    return Answer(body, {"ETag": etag})
