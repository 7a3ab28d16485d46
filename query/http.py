"""GET and LIST over HTTP: routes for every kind; views of the log have their own."""

from typing import Any

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.parameters import parameters
from secaplane.edge.requests.paths import template
from secaplane.edge.serving.answer import Answer
from secaplane.kinds import KINDS
from secaplane.kinds.views import AS_OF
from secaplane.model.kind import Backing, Kind
from secaplane.model.precondition import digest, tag
from secaplane.query import read
from secaplane.query.answers import answered, at_least, listed
from secaplane.query.history import lists
from secaplane.query.history import read as history
from secaplane.query.history.points import as_of
from secaplane.query.history.read import HistoryDependencies
from secaplane.query.read import ListQuery, ReadDependencies

LIST_PARAMETERS = ("labels", "limit", "skipToken", AS_OF)
METHODS = [HttpMethod.GET, HttpMethod.HEAD]


def routes(
    dependencies: ReadDependencies, past: HistoryDependencies, guard: Guard
) -> list[HTTPRouteHandler]:
    """`past` answers reads with `asOf`."""
    kinds = [kind for kind in KINDS.values() if kind.backing is not Backing.VIEW]
    gets = [_get(kind, dependencies, past, guard) for kind in kinds]
    return [*gets, *(_list(kind, dependencies, past, guard) for kind in kinds)]


def _get(
    kind: Kind, dependencies: ReadDependencies, past: HistoryDependencies, guard: Guard
) -> HTTPRouteHandler:
    items = [template(f"{url}/{{name}}") for url in kind.urls]

    @route(items, http_method=METHODS, name=f"Get{kind.title} {kind.name}")
    async def get_resource(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.listed(b"accept"))
        await guard.admit(context, "get", kind, ids, ids["name"])
        sent = parameters(query, (AS_OF,)) if (query := request.scope["query_string"]) else None
        if sent:
            then = as_of(sent[AS_OF], AS_OF, now=past.clock())
            found = await history.get(past, kind, ids, then, at_least(context, past.streams))
        else:
            found = await read.get(dependencies, kind, ids, at_least(context, past.streams))
        return answered(context, found.document, tag(found.document, found.version, found.uid))

    return get_resource


def _list(
    kind: Kind, dependencies: ReadDependencies, past: HistoryDependencies, guard: Guard
) -> HTTPRouteHandler:
    @route([*map(template, kind.urls)], http_method=METHODS, name=f"List{kind.title} {kind.name}")
    async def list_resources(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        deleted = parsing.deleted(context.listed(b"accept"))
        names = await guard.admit_list(context, kind, ids)
        sent = parameters(request.scope["query_string"], LIST_PARAMETERS)
        query = ListQuery(
            sent.get("limit"), sent.get("labels", ""), sent.get("skipToken"), deleted, names
        )
        if AS_OF in sent:
            then = as_of(sent[AS_OF], AS_OF, now=past.clock())
            page = await lists.list_page(
                past, kind, ids, query, then, at_least(context, past.streams)
            )
        else:
            page = await read.list_page(
                dependencies, kind, ids, query, at_least(context, past.streams)
            )
        resource = kind.resource(kind.collection.format_map(ids))
        body = listed(kind.provider.full_name, resource, page)
        return answered(context, body, f'"{digest(body)}"')

    return list_resources
