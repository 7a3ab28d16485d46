"""Refusals as RFC 7807 problems. The only table of HTTP error statuses in the house."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from litestar import Response

from secaplane.edge.requests.context import Visit
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
    errors.Nowhere: (404, "resource-not-found", "Not Found"),
    errors.NotAllowed: (405, *_UNREADABLE),
    errors.Unacceptable: (406, *_UNREADABLE),
    errors.Conflict: (409, "resource-conflict", "Conflict"),
    errors.OverQuota: (409, "resource-conflict", "Conflict"),
    errors.Outdated: (412, "precondition-failed", "Precondition Failed"),
    errors.TooLarge: (413, *_UNREADABLE),
    errors.TooLong: (414, *_UNREADABLE),
    errors.Unsupported: (415, *_UNREADABLE),
    errors.Invalid: (422, "validation-error", "Unprocessable Entity"),
    errors.TooMany: (429, *_UNREADABLE),
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
    sources: Sequence[errors.Source]
    meta: Json | msgspec.UnsetType = msgspec.UNSET


def refused(refusal: errors.Refusal, visit: Visit, dialect: Dialect = "spec") -> Response[bytes]:
    worn = _worn(refusal, visit, dialect)
    return answer(PROBLEMS[worn], refusal.detail, visit, refusal=refusal)


def defect(visit: Visit) -> Response[bytes]:
    """Ours to fix; what went wrong stands in the log under the request id, and nowhere else."""
    return answer(DEFECT, "something went wrong on our side; it has been recorded", visit)


def answer(
    row: tuple[int, str, str],
    detail: str,
    visit: Visit,
    *,
    refusal: errors.Refusal | None = None,
) -> Response[bytes]:
    status, slug, title = row
    problem = Problem(
        type=f"{BASE}/{slug}",
        title=title,
        status=status,
        detail=detail[:DETAIL_LENGTH_MAX],
        instance=f"urn:secaplane:request:{visit.request_id}",
        sources=[_short(source) for source in refusal.sources[:SOURCES_MAX]] if refusal else (),
        meta=(refusal.meta if refusal else None) or msgspec.UNSET,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=_headers(refusal),
    )


def _short(source: errors.Source) -> errors.Source:
    """What is too deep to be pointed at is pointed at where it lies."""
    pointer = source.pointer
    while len(pointer) > POINTER_LENGTH_MAX:
        pointer = pointer.rpartition("/")[0]
    return errors.Source(pointer, source.parameter[:PARAMETER_LENGTH_MAX])


def _headers(refusal: errors.Refusal | None) -> dict[str, str]:
    match refusal:
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="secaplane"'}
        case errors.Unavailable():
            return {"Retry-After": str(refusal.RETRY_AFTER_S)}
        case errors.TooMany(retry_after_s=seconds):
            return {"Retry-After": str(seconds)}
        case errors.NotAllowed():
            return {"Allow": refusal.meta["allow"]}
        case _:
            return {}


def _worn(refusal: errors.Refusal, visit: Visit, dialect: Dialect) -> type[errors.Refusal]:
    """The conformance runner of the released SDK accepts only 412 for whatever a PUT, DELETE or
    action is refused for; an absent target of GET, DELETE and actions stays 404."""
    if dialect == "secatest" and visit.method in _WRITES:
        homeless = visit.method == "PUT" and type(refusal) is errors.NotFound
        if homeless or isinstance(refusal, _AS_PRECONDITION):
            return errors.Outdated
    return type(refusal)
