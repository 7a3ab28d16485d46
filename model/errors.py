"""Every way the house can say no.

    Refusal
     ├── Malformed         cannot be read
     ├── Unauthenticated   nobody we know
     ├── Forbidden         not for this caller
     ├── NotFound          there is no such thing
     │    └── Nowhere      nobody serves that path
     ├── Conflict          its state forbids it
     │    └── OverQuota    the tenant may not have that much
     ├── Outdated          the caller's precondition failed
     ├── Invalid           readable, and breaks a rule
     ├── TooLarge          over a size that has a name
     ├── TooLong           an address over its size
     ├── TooMany           asked too often
     ├── Unsupported       a media type we do not read
     ├── Unacceptable      a media type we do not write
     ├── NotAllowed        a method this path does not have
     └── Unavailable       cannot be answered now

A refusal is an expected answer, so it is typed and carries what the caller needs to repair the
request. `edge.problem` alone knows which HTTP status each one wears.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class ProblemSource(msgspec.Struct, frozen=True):
    """Where in a request a rule is broken: a JSON pointer into the body, or a parameter's name."""

    pointer: str = ""
    parameter: str = ""


class BrokenRule(msgspec.Struct, frozen=True):
    """One broken rule: where, and how to make it right."""

    detail: str
    pointer: str = ""
    parameter: str = ""


class Refusal(Exception):
    """An expected no. Anything else that is raised is a defect or an outage."""

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
        here = (ProblemSource(pointer, parameter),) if pointer or parameter else ()
        self.sources = (*here, *sources)
        self.meta = dict(meta or {})


class Malformed(Refusal): ...


class Unauthenticated(Refusal): ...


class Forbidden(Refusal): ...


class NotFound(Refusal): ...


class UnknownPath(NotFound):
    """Nobody serves that path: no resource that is absent, nor a parent."""


class Conflict(Refusal): ...


class QuotaExceeded(Conflict):
    """The tenant may not have that much; `meta` says what is used, asked and left."""


class PreconditionFailed(Refusal): ...


class Invalid(Refusal): ...


class ContentTooLarge(Refusal): ...


class UriTooLong(Refusal): ...


class RateLimited(Refusal):
    """Asked too often; the caller may try again after a while."""

    def __init__(
        self, detail: str, *, retry_after_s: int = 1, meta: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail, meta=meta)
        self.retry_after_s = retry_after_s


class UnsupportedMediaType(Refusal): ...


class NotAcceptable(Refusal): ...


class MethodNotAllowed(Refusal): ...


class Unavailable(Refusal):
    """Cannot be answered now; the caller may try again after a while."""

    RETRY_AFTER_S = 1


def refuse_broken(broken: Sequence[BrokenRule]) -> None:
    if broken:
        raise invalid(broken)


def invalid(broken: Sequence[BrokenRule]) -> Invalid:
    """All broken rules of one request in one refusal."""
    return Invalid(
        "; ".join(f"{each.pointer or each.parameter}: {each.detail}" for each in broken),
        sources=[ProblemSource(each.pointer, each.parameter) for each in broken],
    )
