"""The preconditions in the headers of a request (RFC 9110, section 13.1; SECA
`if-unmodified-since`). Without IO."""

import re

from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Malformed
from secaplane.model.precondition import Precondition, TagCondition, tag_condition

VERSION = re.compile(r"[0-9]{1,19}")


def precondition(context: RequestContext) -> Precondition:
    """All preconditions of a PUT, DELETE or action.

    Raises:
        Malformed: `if-unmodified-since` is no version, or was sent twice.
    """
    return Precondition(
        version=version(context.headers(b"if-unmodified-since")),
        match=tag_condition(context.headers(b"if-match")),
        none_match=tag_condition(context.headers(b"if-none-match")),
    )


def version(headers: list[str]) -> int | None:
    """`if-unmodified-since`: a resource version, not a date."""
    if not headers:
        return None
    if len(headers) > 1 or not VERSION.fullmatch(headers[0].strip()):
        raise Malformed(
            "if-unmodified-since takes a resourceVersion, a whole number",
            parameter="if-unmodified-since",
        )
    return int(headers[0])


def not_modified(context: RequestContext, etag: str) -> bool:
    """True for a GET whose `If-None-Match` names this answer. The comparison is the weak one, so
    that a proxy that compresses answers may mark the tag; a tag of another answer is no match."""
    if context.header(b"if-none-match") is None:
        return False
    condition = tag_condition(context.headers(b"if-none-match"))
    return condition is not None and _includes(condition, etag)


def _includes(condition: TagCondition, etag: str) -> bool:
    return condition.any or any(f'"{each.opaque}"' == etag for each in condition.tags)
