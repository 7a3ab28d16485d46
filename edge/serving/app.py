"""The HTTP application of the command or the query side: routes, middleware, and the answers to
everything that is raised."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from litestar import Litestar, Response
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.problem import Dialect, defect, refused
from secaplane.edge.requests import framing
from secaplane.edge.requests.context import KEY, RequestContext
from secaplane.edge.serving.exceptions import ExceptionAnswers
from secaplane.edge.serving.metrics import Metrics
from secaplane.model.errors import Refusal, Unavailable, UriTooLong

UNKNOWN = "/unknown"
API = "/providers/"
NO_STORE = (b"cache-control", b"no-store")
"""On every answer of the API: any may hold what only its caller may see, such as secrets. On every
problem, too: what it says may be over at once."""
PROBED = ("/healthz", "/readyz", "/metrics")
UNSERVED = "UNSERVED"
CUT_SHORT = (
    "this process ends before the request was done, and the outcome of a write is unknown: read the"
    " resource, then try again"
)
log = logging.getLogger("secaplane.edge")

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class RequestLimits:
    """Sizes of requests."""

    url_bytes_max: int = 16 * 1024
    body_bytes_max: int = 1024 * 1024


def build(
    routes: Sequence[HTTPRouteHandler],
    *,
    metrics: Metrics,
    recorder: AuditRecorder | None = None,
    dialect: Dialect = "spec",
    sizes: RequestLimits | None = None,
) -> Asgi:
    """The ASGI application for a set of routes. Routes that refuse no caller need no recorder."""
    limits = sizes or RequestLimits()
    answers = ExceptionAnswers(metrics, recorder, dialect, limits.body_bytes_max)
    app = Litestar(
        list(routes),
        exception_handlers=answers.handlers(),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=limits.body_bytes_max,
    )
    return RequestMiddleware(app, metrics, limits.url_bytes_max)


class RequestMiddleware:
    """Gives requests their context and answers their request id; counts and logs answers."""

    def __init__(self, app: Asgi, metrics: Metrics, url_bytes_max: int) -> None:
        self._app, self._metrics, self._url_bytes_max = app, metrics, url_bytes_max

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        context = scope[KEY] = RequestContext(scope)
        _normalize(scope, context)
        began = time.perf_counter()
        own = [(b"x-request-id", context.request_id.encode())]
        if context.path.startswith(API):
            own.append(NO_STORE)
        status, begun = 500, False

        async def sending(message: Any) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                context.end_share()
                message["headers"] = _headers_of(message["headers"], status, own)
            await send(message)

        try:
            if refusal := self._refusal(scope, context):
                await _send(refused(refusal, context), sending)
            else:
                await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if begun:
                raise  # the server closes the connection
            await _send(refused(Unavailable(CUT_SHORT), context), sending)
        except Exception:
            if not begun:
                await _send(defect(context), sending)
            raise  # the server logs it and closes the connection
        finally:
            context.end_share()
            self._answered(context, scope.get("path_template") or UNKNOWN, status, began)

    def _refusal(self, scope: Any, context: RequestContext) -> Refusal | None:
        """The refusal of a request that the router does not see, or None."""
        if _url_bytes(scope) > self._url_bytes_max:
            return UriTooLong(f"an address has at most {self._url_bytes_max} bytes")
        return framing.fault(context, scope["http_version"])

    def _answered(self, context: RequestContext, route: str, status: int, began: float) -> None:
        """Probes are neither counted nor logged: a proxy sends them several times a second.
        Successful reads are counted but not logged: a log line would cost more than the read.
        The log names the route and no tenant, resource or query: the request id leads to the event
        or the audit entry that does (docs/decisions/028)."""
        if route in PROBED:
            return
        took_s = time.perf_counter() - began
        self._metrics.answered(context.method, status, took_s)
        if context.method in ("GET", "HEAD") and status < 400:
            return
        log.info(
            "answered",
            extra={
                "request": context.request_id,
                "method": context.method,
                "route": route,
                "status": status,
                "took_ms": round(took_s * 1000, 2),
            },
        )


def _url_bytes(scope: Any) -> int:
    return len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")


async def _send(problem: Response[bytes], send: Any) -> None:
    """Answer a request that the router does not see, or does not answer."""
    body: bytes = problem.content
    headers = [
        (b"content-type", str(problem.media_type).encode()),
        (b"content-length", str(len(body)).encode()),
        *((key.lower().encode(), value.encode()) for key, value in problem.headers.items()),
    ]
    start = {"type": "http.response.start", "status": problem.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _headers_of(headers: Any, status: int, own: Headers) -> Headers:
    if status >= 400 and NO_STORE not in own:
        own = [*own, NO_STORE]
    return [*headers, *own]


def _normalize(scope: Any, context: RequestContext) -> None:
    """Replace a path that the router would change by one that is unknown, or that a rule refuses.

    The router drops a trailing slash, a percent-encoded slash would split a name in two, and
    PostgreSQL stores no NUL. The framework must not answer OPTIONS: it would not ask the guard, and
    would list only half of the methods.
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
