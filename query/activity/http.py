"""The routes of the activity.

    GET /providers/secaplane.audit/v1/tenants/{tenant}/activity
    GET /providers/secaplane.audit/v1/tenants/{tenant}/activity/{name}
    GET /providers/seca.activity-log/v1beta1/tenants/{tenant}/workspaces/{workspace}/activity-logs
    GET .../activity-logs/{name}

The lists take `limit` and `skipToken`, and the filters of `asked`; the first one `workspace`, too.
One entry is what the list shows under its name.
"""

from typing import Any

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.parameters import parameters, refuse_as_of
from secaplane.edge.requests.paths import template
from secaplane.edge.serving.answer import Answer
from secaplane.kinds import KINDS
from secaplane.kinds.views import ACTIVITY, AUDIT, tenant_view_path
from secaplane.model.errors import Forbidden
from secaplane.model.kind import Backing, Kind
from secaplane.model.precondition import digest
from secaplane.query import selectors
from secaplane.query.activity import read
from secaplane.query.activity.asked import FILTERS, asked
from secaplane.query.activity.read import ActivityDependencies
from secaplane.query.answers import answered, at_least, listed
from secaplane.query.matching import matches
from secaplane.query.read import ListedPage

METHODS = [HttpMethod.GET, HttpMethod.HEAD]
PAGES = ("limit", "skipToken")
TENANT = KINDS["tenant"]


def routes(dependencies: ActivityDependencies, guard: Guard) -> list[HTTPRouteHandler]:
    views = [kind for kind in KINDS.values() if kind.backing is Backing.VIEW]
    return [
        _tenant(dependencies, guard),
        _tenant_entry(dependencies, guard),
        *(_workspace(each, dependencies, guard) for each in views),
        *(_workspace_entry(each, dependencies, guard) for each in views),
    ]


def _tenant(dependencies: ActivityDependencies, guard: Guard) -> HTTPRouteHandler:
    @route([template(tenant_view_path(ACTIVITY))], http_method=METHODS, name="ListActivity")
    async def list_activity(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.listed(b"accept"))
        await guard.admit_view(context, "list", ACTIVITY, TENANT, ids, ids["tenant"])
        sent = parameters(request.scope["query_string"], (*PAGES, *FILTERS, "workspace"))
        page = await read.tenant_page(
            dependencies,
            ids["tenant"],
            asked(sent, now=dependencies.history.clock()),
            limit=sent.get("limit"),
            skip_token=sent.get("skipToken"),
            at_least=at_least(context, dependencies.streams),
        )
        body = listed(AUDIT.full_name, ACTIVITY, page)
        return answered(context, body, f'"{digest(body)}"')

    return list_activity


def _tenant_entry(dependencies: ActivityDependencies, guard: Guard) -> HTTPRouteHandler:
    path = template(f"{tenant_view_path(ACTIVITY)}/{{name}}")

    @route([path], http_method=METHODS, name="GetActivity")
    async def get_activity(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        await guard.admit_view(context, "get", ACTIVITY, TENANT, ids, ids["tenant"])
        refuse_as_of(request.scope["query_string"])
        least = at_least(context, dependencies.streams)
        body = await read.tenant_entry(dependencies, ids["tenant"], ids["name"], at_least=least)
        return answered(context, body, f'"{digest(body)}"')

    return get_activity


def _workspace_entry(
    kind: Kind, dependencies: ActivityDependencies, guard: Guard
) -> HTTPRouteHandler:
    items = [template(f"{url}/{{name}}") for url in kind.urls]

    @route(items, http_method=METHODS, name=f"Get{kind.title} {kind.name}")
    async def get_activity_log(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.listed(b"accept"))
        await guard.admit(context, "get", kind, ids, ids["name"])
        refuse_as_of(request.scope["query_string"])
        least = at_least(context, dependencies.streams)
        body = await read.workspace_entry(dependencies, kind, ids, ids["name"], at_least=least)
        return answered(context, body, f'"{digest(body)}"')

    return get_activity_log


def _workspace(kind: Kind, dependencies: ActivityDependencies, guard: Guard) -> HTTPRouteHandler:
    @route([*map(template, kind.urls)], http_method=METHODS, name=f"List{kind.title} {kind.name}")
    async def list_activity_logs(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        deleted = parsing.deleted(context.listed(b"accept"))
        if await guard.admit_list(context, kind, ids) is not None:
            raise Forbidden("the entries of an activity log are granted together: activity-logs/*")
        sent = parameters(request.scope["query_string"], ("labels", *PAGES, *FILTERS))
        query = asked(sent, now=dependencies.history.clock())
        terms = selectors.terms(sent["labels"]) if sent.get("labels") else []
        if deleted is True or not matches(terms, {}):  # no entry has labels, none is deleted
            page = ListedPage([], None)
        else:
            page = await read.workspace_page(
                dependencies,
                kind,
                ids,
                query,
                limit=sent.get("limit"),
                skip_token=sent.get("skipToken"),
                at_least=at_least(context, dependencies.streams),
            )
        resource = kind.resource(kind.collection.format_map(ids))
        body = listed(kind.provider.full_name, resource, page)
        return answered(context, body, f'"{digest(body)}"')

    return list_activity_logs
