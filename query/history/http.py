"""The routes of history, below `/providers/secaplane.audit/v1`.

    GET history/<metadata.ref>?limit=&skipToken=
    GET diff/<metadata.ref>?from=&to=
    GET blame/<metadata.ref>

The first segment says what is asked for, and the resource's `metadata.ref` follows: no name of a
resource can be taken for one of the questions.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import RequestContext, request_context
from secaplane.edge.requests.parameters import parameters, refuse_as_of
from secaplane.edge.requests.paths import template
from secaplane.edge.serving.answer import Answer
from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT, HISTORY, OF_ONE_RESOURCE, view_path
from secaplane.model.errors import Malformed
from secaplane.model.kind import Kind
from secaplane.model.precondition import digest
from secaplane.query.answers import answered, at_least, listed
from secaplane.query.history import read
from secaplane.query.history.points import point
from secaplane.query.history.read import HistoryDependencies

METHODS = [HttpMethod.GET, HttpMethod.HEAD]


class HistoryQuestion(NamedTuple):
    """A request about the history of one resource, whose caller is allowed to see it."""

    dependencies: HistoryDependencies
    context: RequestContext
    kind: Kind
    ids: dict[str, str]
    sent: dict[str, str]
    """Its parameters."""


def routes(dependencies: HistoryDependencies, guard: Guard) -> list[HTTPRouteHandler]:
    kinds = [kind for kind in KINDS.values() if kind.has_history]
    return [_route(kind, each, dependencies, guard) for kind in kinds for each in OF_ONE_RESOURCE]


def _route(
    kind: Kind, segment: str, dependencies: HistoryDependencies, guard: Guard
) -> HTTPRouteHandler:
    names, answer = _QUESTIONS[segment]
    path = template(view_path(segment, f"{kind.provider.full_name}/{kind.collection}/{{name}}"))

    @route([path], http_method=METHODS, name=f"{segment} {kind.name}")
    async def ask(request: Request[Any, Any, Any]) -> Answer:
        context, ids = request_context(request.scope), request.path_params
        parsing.deleted(context.listed(b"accept"))
        await guard.admit_view(context, "get", HISTORY, kind, ids, ids["name"])
        refuse_as_of(request.scope["query_string"])
        sent = parameters(request.scope["query_string"], names)
        body = await answer(HistoryQuestion(dependencies, context, kind, ids, sent))
        return answered(context, body, f'"{digest(body)}"')

    return ask


async def _history(asked: HistoryQuestion) -> bytes:
    dependencies, context, kind, ids, sent = asked
    page = await read.entries(
        dependencies,
        kind,
        ids,
        limit=sent.get("limit"),
        skip_token=sent.get("skipToken"),
        at_least=at_least(context, dependencies.streams),
    )
    path = kind.resource(kind.ref(ids, ids["name"]).path)
    return listed(AUDIT.full_name, f"{HISTORY}/{path}", page)


async def _diff(asked: HistoryQuestion) -> bytes:
    dependencies, context, kind, ids, sent = asked
    if "from" not in sent:
        raise Malformed(
            "say from where: from takes a time, a position, or a version", parameter="from"
        )
    now = dependencies.clock()
    until = point(sent["to"], "to", now=now) if "to" in sent else None
    points = (point(sent["from"], "from", now=now), until)
    return await read.diff(dependencies, kind, ids, points, at_least(context, dependencies.streams))


async def _blame(asked: HistoryQuestion) -> bytes:
    dependencies, context, kind, ids, _ = asked
    return await read.blame(dependencies, kind, ids, at_least(context, dependencies.streams))


_QUESTIONS: dict[str, tuple[tuple[str, ...], Callable[[HistoryQuestion], Awaitable[bytes]]]] = {
    HISTORY: (("limit", "skipToken"), _history),
    "diff": (("from", "to"), _diff),
    "blame": ((), _blame),
}
"""By the first segment: the parameters, and what answers."""
