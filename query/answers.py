"""Headers and answers that all reads share."""

from collections.abc import Collection, Sequence

from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.preconditions import not_modified
from secaplane.edge.serving.answer import Answer, not_modified_answer
from secaplane.model.document import encode
from secaplane.model.errors import Malformed
from secaplane.model.position import Position, parse_all
from secaplane.query.read import ListedPage

AT_LEAST = b"secaplane-at-least"


def at_least(context: RequestContext, streams: Collection[str]) -> Sequence[Position]:
    """`Secaplane-At-Least`: the `Secaplane-Position` of a write that the answer must include.

    Raises:
        Malformed: it is something else, or a position in a stream that there is not: no rows will
            ever reach it.
    """
    sent = context.listed(AT_LEAST)
    if sent is None:
        return ()
    try:
        positions = parse_all(sent)
    except ValueError as error:
        raise Malformed(
            "Secaplane-At-Least takes the Secaplane-Position of a write",
            parameter="Secaplane-At-Least",
        ) from error
    refuse_other_streams(positions, streams, "Secaplane-At-Least")
    return positions


def refuse_other_streams(
    positions: Sequence[Position], streams: Collection[str], parameter: str
) -> None:
    """Raises Malformed where one of the positions is in none of the streams."""
    for each in positions:
        if each and each.stream not in streams:
            raise Malformed(
                f"{parameter}: {each} is in no stream of this log; it has {', '.join(streams)}",
                parameter=parameter,
            )


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
