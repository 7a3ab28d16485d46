"""One row for each event, with the document as it then stood: what history, as-of and diff read."""

from collections.abc import Sequence

import msgspec

from eventlog.codec import NAMES
from projector.resources import Folded

NAME = "history"
COLUMNS = {
    "position": "bigint",
    "kind": "text",
    "path": "text",
    "uid": "text",
    "time": "timestamptz",
    "type": "text",
    "request": "text",
    "cause": "bigint",
    "by": "text",
    "document": "text",
}
ON_CONFLICT = ""
_encode = msgspec.json.Encoder().encode


def rows(folded: Sequence[Folded]) -> list[tuple[object, ...]]:
    return [row(each) for each in folded]


def row(folded: Folded) -> tuple[object, ...]:
    event = folded.event
    return (
        event.position,
        event.ref.kind,
        event.ref.path,
        event.uid,
        event.time,
        NAMES[type(event.event)],
        event.request,
        event.cause,
        _encode(event.by).decode(),
        folded.document,
    )
