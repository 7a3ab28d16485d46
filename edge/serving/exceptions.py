"""The answer to every exception that a route raises: a refusal, a damaged resource, an outage, a
defect. Each is a problem (RFC 7807); only defects are logged with a traceback."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.problem import Dialect, defect, refused
from secaplane.edge.requests.context import RequestContext, request_context
from secaplane.edge.requests.paths import allowed, not_allowed
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.codec import EventMissing, Undecodable
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import (
    ContentTooLarge,
    Damaged,
    HistoryIncomplete,
    Malformed,
    Refusal,
    Unavailable,
    UnknownPath,
)
from secaplane.model.reasons import reason_of
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

LOG_UNAVAILABLE = (
    "the log does not answer, and the outcome of a write is unknown: read the resource, then try"
    " again"
)
DEFECT = Refusal("an internal error")
"""Stands for a defect where refusals are recorded."""
READS = "GET, HEAD"
"""The methods of paths that belong to no kind: health, metrics, documents."""
log = logging.getLogger("secaplane.edge")

HttpRequest = Request[Any, Any, Any]
Handlers = dict[int | type[Exception], Callable[[HttpRequest, Any], Response[Any]]]


@dataclass(frozen=True)
class ExceptionAnswers:
    """Turns exceptions into answers; a refusal is recorded in the audit stream, if there is one."""

    metrics: Metrics
    recorder: AuditRecorder | None
    dialect: Dialect
    body_bytes_max: int

    def handlers(self) -> Handlers:
        """The handlers by exception type, as the framework takes them."""
        return {
            Refusal: self._refusal,
            **dict.fromkeys((Damaged, Undecodable), self._damaged),
            HTTPException: self._framework_error,
            Exception: self._defect,
            LogUnavailable: self._log_unavailable,
            **dict.fromkeys(DATABASE_UNAVAILABLE, self._database_unavailable),
        }

    def _refusal(self, request: HttpRequest, refusal: Refusal) -> Response[bytes]:
        context = request_context(request.scope)
        answer = refused(refusal, context, self.dialect)
        self._record(context, refusal, answer)
        return answer

    def _record(self, context: RequestContext, refusal: Refusal, answer: Response[bytes]) -> None:
        if self.recorder is not None:
            self.recorder.refused(context, refusal, answer.status_code or 500)

    def _damaged(self, request: HttpRequest, error: Exception) -> Response[bytes]:
        context = request_context(request.scope)
        self.metrics.damaged.inc()
        where = {
            "request": context.request_id,
            "route": _route(request),
            "reason": reason_of(error),
        }
        log.error("damaged resource", extra=where)
        return self._refusal(request, _as_damaged(error))

    def _framework_error(self, request: HttpRequest, error: HTTPException) -> Response[bytes]:
        return self._refusal(request, _as_refusal(request, error, self.body_bytes_max))

    def _defect(self, request: HttpRequest, error: Exception) -> Response[bytes]:
        context = request_context(request.scope)
        where = {"request": context.request_id, "route": _route(request)}
        log.error("defect", exc_info=error, extra=where)
        answer = defect(context)
        self._record(context, DEFECT, answer)
        return answer

    def _database_unavailable(self, request: HttpRequest, error: Exception) -> Response[bytes]:
        log.warning("database unavailable", extra=_why(request, error))
        return self._refusal(request, Unavailable("the database does not answer; try again"))

    def _log_unavailable(self, request: HttpRequest, error: Exception) -> Response[bytes]:
        """A write may be recorded without its companion, which is made later."""
        log.warning("log unavailable", extra=_why(request, error))
        return self._refusal(request, Unavailable(LOG_UNAVAILABLE))


def _why(request: HttpRequest, error: Exception) -> dict[str, str]:
    request_id = request_context(request.scope).request_id
    return {"request": request_id, "reason": reason_of(error)}


def _route(request: HttpRequest) -> str:
    """The path without its names, as logs hold it."""
    return str(request.scope.get("path_template", ""))


def _as_refusal(request: HttpRequest, error: HTTPException, body_bytes_max: int) -> Refusal:
    """An error of the framework as a refusal. The paths of the other side (command or query) are
    known, too: they are 405 here, with the methods that they take."""
    match error.status_code:
        case 404 | 405:
            methods = allowed(request.scope["path"]) or (READS if error.status_code == 405 else "")
            return not_allowed(methods) if methods else UnknownPath("there is nothing at this path")
        case 413:
            return ContentTooLarge(f"a body has at most {body_bytes_max} bytes")
        case _:
            return Malformed("the request cannot be read")


def _as_damaged(error: Exception) -> Damaged:
    if isinstance(error, Damaged):
        return error
    return HistoryIncomplete() if isinstance(error, EventMissing) else Damaged()
