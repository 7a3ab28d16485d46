"""Refusals as problems (RFC 7807), by the table of `edge.problem_table`.

SECA has types for some statuses only; the others share the type of their class. A title is always
the phrase of its own status (RFC 9110, section 15; of 422 as SECA writes it).
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from litestar import Response

from secaplane.edge.problem_table import BASE, DEFECT, PROBLEMS
from secaplane.edge.requests.context import RequestContext
from secaplane.model import errors
from secaplane.model.pointer import LENGTH_MAX
from secaplane.model.shape import Json

MEDIA_TYPE = "application/problem+json"
DETAIL_LENGTH_MAX = 32_768
SOURCES_MAX = 256
PARAMETER_LENGTH_MAX = 64
Dialect = Literal["spec", "secatest"]

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
    status_of = _status_class(refusal, context, dialect)
    return answer(PROBLEMS[status_of], refusal.detail, context, refusal=refusal)


def defect(context: RequestContext) -> Response[bytes]:
    """A 500; the cause is in the process log under the request id, and nowhere else."""
    return answer(DEFECT, "an internal error; it has been logged under this request id", context)


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
    """A pointer that is too long is cut to the nearest ancestor that is not."""
    pointer = source.pointer
    if len(pointer) > LENGTH_MAX:
        pointer = pointer[: LENGTH_MAX + 1].rpartition("/")[0]
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


def _status_class(
    refusal: errors.Refusal, context: RequestContext, dialect: Dialect
) -> type[errors.Refusal]:
    """The refusal class whose status the answer has. The conformance runner of the released SDK
    accepts only 412 for a refused PUT, DELETE or action; an absent target of GET, DELETE and
    actions stays 404."""
    if dialect == "secatest" and context.method in _WRITES:
        parent_missing = context.method == "PUT" and type(refusal) is errors.NotFound
        if parent_missing or isinstance(refusal, _AS_PRECONDITION):
            return errors.PreconditionFailed
    return type(refusal)
