"""Headers and answers that all reads share."""

from collections.abc import Sequence

from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.preconditions import not_modified
from secaplane.edge.serving.answer import Answer, not_modified_answer
from secaplane.model.document import encode
from secaplane.model.errors import Malformed
from secaplane.model.position import Position, parse_all
from secaplane.query.read import ListedPage

AT_LEAST = b"secaplane-at-least"


def at_least(context: RequestContext) -> Sequence[Position]:
    """`Secaplane-At-Least`: the `Secaplane-Position` of a write that the answer must include."""
    sent = context.listed(AT_LEAST)
    if sent is None:
        return ()
    try:
        return parse_all(sent)
    except ValueError as error:
        raise Malformed(
            "Secaplane-At-Least takes the Secaplane-Position of a write",
            parameter="Secaplane-At-Least",
        ) from error


def listed(provider: str, resource: str, page: ListedPage) -> bytes:
    """The body of a list."""
    metadata = {"provider": provider, "resource": resource, "verb": "GET"}
    if page.skip_token is not None:
        metadata["skipToken"] = page.skip_token
    return b'{"items":[' + b",".join(page.items) + b'],"metadata":' + encode(metadata) + b"}"


def answered(context: RequestContext, body: bytes, etag: str) -> Answer:
    """With an ETag; 304 where the client has this body (RFC 9110, sections 8.8.3 and 13.1.2)."""
    if not_modified(context, etag):
        return not_modified_answer({"ETag": etag})
    return Answer(body, {"ETag": etag})
