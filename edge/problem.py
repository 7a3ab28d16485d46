"""Refusals as RFC 7807 problems. The only table of HTTP error statuses in the house."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from litestar import Response

from secaplane.edge.requests.context import RequestContext
from secaplane.model import errors
from secaplane.model.shape import Json

BASE = "http://secapi.cloud/errors"
MEDIA_TYPE = "application/problem+json"
DETAIL_LENGTH_MAX = 32_768
SOURCES_MAX = 256
POINTER_LENGTH_MAX, PARAMETER_LENGTH_MAX = 256, 64
Dialect = Literal["spec", "secatest"]

_UNREADABLE = ("invalid-request", "Bad Request")
_OURS = ("internal-server-error", "Internal Server Error")
PROBLEMS: dict[type[errors.Refusal], tuple[int, str, str]] = {
    errors.Malformed: (400, *_UNREADABLE),
    errors.Unauthenticated: (401, "unauthorized", "Unauthorized"),
    errors.Forbidden: (403, "forbidden", "Forbidden"),
    errors.NotFound: (404, "resource-not-found", "Not Found"),
    errors.UnknownPath: (404, "resource-not-found", "Not Found"),
    errors.MethodNotAllowed: (405, *_UNREADABLE),
    errors.NotAcceptable: (406, *_UNREADABLE),
    errors.Conflict: (409, "resource-conflict", "Conflict"),
    errors.QuotaExceeded: (409, "resource-conflict", "Conflict"),
    errors.PreconditionFailed: (412, "precondition-failed", "Precondition Failed"),
    errors.ContentTooLarge: (413, *_UNREADABLE),
    errors.UriTooLong: (414, *_UNREADABLE),
    errors.UnsupportedMediaType: (415, *_UNREADABLE),
    errors.Invalid: (422, "validation-error", "Unprocessable Entity"),
    errors.RateLimited: (429, *_UNREADABLE),
    errors.Damaged: (500, *_OURS),
    errors.Unavailable: (503, *_OURS),
}
DEFECT = (500, *_OURS)

_WRITES = ("PUT", "DELETE", "POST")
_AS_PRECONDITION = (errors.Conflict, errors.Invalid)


class Problem(msgspec.Struct, frozen=True):
    """The body of every refusal (SECA `Error`)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    sources: Sequence[errors.ProblemSource]
    meta: Json | msgspec.UnsetType = msgspec.UNSET


def refused(
    refusal: errors.Refusal, context: RequestContext, dialect: Dialect = "spec"
) -> Response[bytes]:
    worn = _worn(refusal, context, dialect)
    return answer(PROBLEMS[worn], refusal.detail, context, refusal=refusal)


def defect(context: RequestContext) -> Response[bytes]:
    """Ours to fix; what went wrong stands in the log under the request id, and nowhere else."""
    return answer(DEFECT, "something went wrong on our side; it has been recorded", context)


def answer(
    row: tuple[int, str, str],
    detail: str,
    context: RequestContext,
    *,
    refusal: errors.Refusal | None = None,
) -> Response[bytes]:
    status, slug, title = row
    problem = Problem(
        type=f"{BASE}/{slug}",
        title=title,
        status=status,
        detail=detail[:DETAIL_LENGTH_MAX],
        instance=f"urn:secaplane:request:{context.request_id}",
        sources=[_short(source) for source in refusal.sources[:SOURCES_MAX]] if refusal else (),
        meta=(refusal.meta if refusal else None) or msgspec.UNSET,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=_headers(refusal),
    )


def _short(source: errors.ProblemSource) -> errors.ProblemSource:
    """What is too deep to be pointed at is pointed at where it lies."""
    pointer = source.pointer
    while len(pointer) > POINTER_LENGTH_MAX:
        pointer = pointer.rpartition("/")[0]
    return errors.ProblemSource(pointer, source.parameter[:PARAMETER_LENGTH_MAX])


def _headers(refusal: errors.Refusal | None) -> dict[str, str]:
    match refusal:
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="secaplane"'}
        case errors.Unavailable():
            return {"Retry-After": str(refusal.RETRY_AFTER_S)}
        case errors.RateLimited(retry_after_s=seconds):
            return {"Retry-After": str(seconds)}
        case errors.MethodNotAllowed():
            return {"Allow": refusal.meta["allow"]}
        case _:
            return {}


def _worn(
    refusal: errors.Refusal, context: RequestContext, dialect: Dialect
) -> type[errors.Refusal]:
    """The conformance runner of the released SDK accepts only 412 for whatever a PUT, DELETE or
    action is refused for; an absent target of GET, DELETE and actions stays 404."""
    if dialect == "secatest" and context.method in _WRITES:
        homeless = context.method == "PUT" and type(refusal) is errors.NotFound
        if homeless or isinstance(refusal, _AS_PRECONDITION):
            return errors.PreconditionFailed
    return type(refusal)
