"""Refusals: the expected negative answers of the control plane.

    Refusal
     ├── Malformed             the request cannot be parsed
     ├── Unauthenticated       no valid token
     ├── Forbidden             no grant allows it
     ├── NotFound              no such resource
     │    └── UnknownPath      no route serves that path
     ├── Conflict              the state of the resource, or of a related one, forbids it
     │    └── QuotaExceeded    a quota of the tenant forbids it
     ├── PreconditionFailed    the caller's precondition (If-Match) does not hold
     ├── Invalid               parsed, but it breaks a rule
     ├── ContentTooLarge       the body exceeds a limit
     ├── UriTooLong            the URL exceeds a limit
     ├── RateLimited           too many requests of one caller
     ├── UnsupportedMediaType  the body's media type is not accepted
     ├── NotAcceptable         none of the media types that the client accepts is offered
     ├── MethodNotAllowed      the path does not have this method
     ├── Damaged               one of the resource's events cannot be decoded or applied
     │    └── HistoryIncomplete  the log has lost one of the resource's events
     └── Unavailable           no answer is possible now; the caller may retry

A refusal is a typed value that carries what the caller needs to repair the request. `edge.problem`
alone maps refusals to HTTP status codes. Every other exception is a defect or an outage.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from secaplane.model.shape import Ref


class ProblemSource(msgspec.Struct, frozen=True):
    """The place of an error in a request: a JSON pointer into the body, or a parameter's name."""

    pointer: str = ""
    parameter: str = ""


class BrokenRule(msgspec.Struct, frozen=True):
    """One broken rule: its place, and how to repair the request."""

    detail: str
    pointer: str = ""
    parameter: str = ""


IN_QUARANTINE = (
    "this resource is in quarantine: one of its events cannot be decoded or applied; delete it, or"
    " ask the operator to repair it"
)


class Refusal(Exception):
    """An expected negative answer. `detail` says how to repair the request."""

    def __init__(
        self,
        detail: str,
        *,
        pointer: str = "",
        parameter: str = "",
        sources: Sequence[ProblemSource] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        first = (ProblemSource(pointer, parameter),) if pointer or parameter else ()
        self.sources = (*first, *sources)
        self.meta = dict(meta or {})


class Malformed(Refusal): ...


class Unauthenticated(Refusal): ...


class Forbidden(Refusal): ...


class NotFound(Refusal): ...


class UnknownPath(NotFound):
    """No route serves that path; the answer does not mean that a resource is absent."""


class Conflict(Refusal): ...


class QuotaExceeded(Conflict):
    """A quota of the tenant would be exceeded; `meta` holds limit, usage and requested amount."""


class PreconditionFailed(Refusal): ...


class Invalid(Refusal): ...


class ContentTooLarge(Refusal): ...


class UriTooLong(Refusal): ...


class RateLimited(Refusal):
    """Too many requests; the caller may retry after `retry_after_s` seconds."""

    def __init__(
        self, detail: str, *, retry_after_s: int = 1, meta: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail, meta=meta)
        self.retry_after_s = retry_after_s


class UnsupportedMediaType(Refusal): ...


class NotAcceptable(Refusal): ...


class MethodNotAllowed(Refusal): ...


class Damaged(Refusal):
    """One of the resource's events cannot be decoded or applied: it can neither be read nor changed
    until it is deleted, or an operator repairs it (`secaplane retry`) or closes it."""

    def __init__(
        self, detail: str = "", *, ref: Ref | None = None, meta: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or IN_QUARANTINE, meta=meta)
        self.ref = ref


INCOMPLETE = (
    "this resource is damaged: the log has lost one of its events, so it cannot be changed; ask the"
    " operator to restore the log, or to close the resource"
)


class HistoryIncomplete(Damaged):
    """The log has lost one of the resource's events: it can be read as the rows show it, and not be
    changed until an operator restores the log or closes the resource."""

    def __init__(
        self, detail: str = "", *, ref: Ref | None = None, meta: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or INCOMPLETE, ref=ref, meta=meta)


class Unavailable(Refusal):
    """No answer is possible now; the caller may retry after `RETRY_AFTER_S` seconds."""

    RETRY_AFTER_S = 1


BROKEN_MAX = 100
"""Broken rules that one refusal lists: long lists can break thousands."""


def refuse_broken(broken: Sequence[BrokenRule]) -> None:
    if broken:
        raise invalid(broken)


def invalid(broken: Sequence[BrokenRule]) -> Invalid:
    """All broken rules of one request in one refusal, which lists BROKEN_MAX of them."""
    listed, more = broken[:BROKEN_MAX], len(broken) - BROKEN_MAX
    detail = "; ".join(f"{each.pointer or each.parameter}: {each.detail}" for each in listed)
    return Invalid(
        f"{detail}; and {more} more" if more > 0 else detail,
        sources=[ProblemSource(each.pointer, each.parameter) for each in listed],
    )
