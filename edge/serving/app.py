"""An HTTP side of the house: its routes, its entrance, and what becomes of everything that is
raised."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.problem import Dialect, defect, refused
from secaplane.edge.requests.context import KEY, RequestContext, request_context
from secaplane.edge.requests.paths import allowed, not_allowed
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.codec import Undecodable
from secaplane.model.errors import (
    ContentTooLarge,
    Damaged,
    Malformed,
    Refusal,
    Unavailable,
    UnknownPath,
    UriTooLong,
)
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

UNKNOWN = "/unknown"
ACCEPTED = 202
DAMAGED = (
    "one of this resource's events cannot be decoded or applied; ask the operator to repair it"
)
UNSERVED = "UNSERVED"
READS = "GET, HEAD"
"""What a path takes that is no kind's: health, metrics, the document."""
log = logging.getLogger("secaplane.edge")

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class RequestLimits:
    """How much of a request is read."""

    url_bytes_max: int = 16 * 1024
    body_bytes_max: int = 1024 * 1024


def build(
    routes: Sequence[HTTPRouteHandler],
    *,
    metrics: Metrics,
    witness: AuditRecorder | None = None,
    dialect: Dialect = "spec",
    sizes: RequestLimits | None = None,
) -> Asgi:
    """The ASGI application for a set of routes. What refuses nobody needs no witness."""
    limits = sizes or RequestLimits()

    def on_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
        context = request_context(request.scope)
        if witness is not None:
            witness.refused(context, refusal)
        return refused(refusal, context, dialect)

    def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
        refusal = _as_refusal(request, error, limits)
        return refused(refusal, request_context(request.scope), dialect)

    def on_defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        context = request_context(request.scope)
        log.error(
            "defect", exc_info=error, extra={"request": context.request_id, "path": context.path}
        )
        return defect(context)

    def on_away(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        context = request_context(request.scope)
        said = {"request": context.request_id, "reason": f"{type(error).__name__}: {error}"}
        log.warning("database unavailable", extra=said)
        return refused(Unavailable("the database does not answer; try again"), context, dialect)

    app = Litestar(
        list(routes),
        exception_handlers={
            Refusal: on_refusal,
            **dict.fromkeys((Damaged, Undecodable), _damaged(metrics, dialect)),
            HTTPException: on_http,
            Exception: on_defect,
            **dict.fromkeys(DATABASE_UNAVAILABLE, on_away),
        },
        openapi_config=None,
        logging_config=None,
        request_max_body_size=limits.body_bytes_max,
    )
    return RequestMiddleware(app, metrics, limits.url_bytes_max)


def _damaged(
    metrics: Metrics, dialect: Dialect
) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    """The answer for a resource with an event that cannot be decoded or applied. An operator has to
    repair it: one log line without a traceback, and a metric of its own."""

    def on_damaged(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        context = request_context(request.scope)
        metrics.damaged.inc()
        where = {"request": context.request_id, "path": context.path, "reason": str(error)}
        log.error("damaged resource", extra=where)
        return refused(Damaged(DAMAGED), context, dialect)

    return on_damaged


class RequestMiddleware:
    """What happens to every request before the router and to every answer after it."""

    def __init__(self, app: Asgi, metrics: Metrics, url_bytes_max: int) -> None:
        self._app, self._metrics, self._url_bytes_max = app, metrics, url_bytes_max

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        context = scope[KEY] = RequestContext(scope)
        _straighten(scope, context)
        began = time.perf_counter()
        request_id = (b"x-request-id", context.request_id.encode())

        status = 500

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*_fitting(message["headers"], status), request_id]
            await send(message)

        try:
            if _url_bytes(scope) > self._url_bytes_max:
                await _refuse_url(context, self._url_bytes_max, sending)
            else:
                await self._app(scope, receive, sending)
        finally:
            self._answered(context, status, began)

    def _answered(self, context: RequestContext, status: int, began: float) -> None:
        """Reads that went well are counted only: a line for each would cost more than the read."""
        took_s = time.perf_counter() - began
        self._metrics.answered(context.method, status, took_s)
        if context.method in ("GET", "HEAD") and status < 400:
            return
        log.info(
            "answered",
            extra={
                "request": context.request_id,
                "method": context.method,
                "path": context.path,
                "status": status,
                "took_ms": round(took_s * 1000, 2),
            },
        )


def _url_bytes(scope: Any) -> int:
    return len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")


async def _refuse_url(context: RequestContext, bytes_max: int, send: Any) -> None:
    """Before anybody looks for a route."""
    problem = refused(UriTooLong(f"an address has at most {bytes_max} bytes"), context)
    body: bytes = problem.content
    headers = [
        (b"content-type", str(problem.media_type).encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    start = {"type": "http.response.start", "status": problem.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _fitting(headers: Any, status: int) -> Any:
    """What is accepted has no body, so it says no type of one."""
    if status != ACCEPTED:
        return headers
    return [each for each in headers if each[0] != b"content-type"]


def _straighten(scope: Any, context: RequestContext) -> None:
    """A path that the router would bend is made one that it does not know, or that a rule refuses.

    The router drops a trailing slash, a percent-encoded slash would part a name in two, and NUL
    reaches no table. Nor may the framework answer OPTIONS of itself: it asks no guard, and names
    half of the methods.
    """
    path: str = context.path
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw or b"%2F" in raw:
        path = _with_slashes_kept(raw)
    if path.endswith("/") or "//" in path or ("\0" in path and context.method != "PUT"):
        path = UNKNOWN
    scope["path"] = path
    if context.method == "OPTIONS":
        scope["method"] = UNSERVED


def _with_slashes_kept(raw: bytes) -> str:
    text = raw.decode("latin-1")
    return unquote(text.replace("%2f", "%252F").replace("%2F", "%252F"))


def _as_refusal(
    request: Request[Any, Any, Any], error: HTTPException, limits: RequestLimits
) -> Refusal:
    """What the framework refuses, in the house's words. A path that the other side of the house
    serves is known here too."""
    match error.status_code:
        case 404 | 405:
            methods = allowed(request.scope["path"]) or (READS if error.status_code == 405 else "")
            return not_allowed(methods) if methods else UnknownPath("there is nothing at this path")
        case 413:
            return ContentTooLarge(f"a body has at most {limits.body_bytes_max} bytes")
        case _:
            return Malformed("the request cannot be read")
