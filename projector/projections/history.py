"""One row for each event, with the document as it then stood: what history, as-of and diff read."""

from collections.abc import Sequence

import msgspec

from secaplane.eventlog.codec import NAMES
from secaplane.model.shape import Ref
from secaplane.projector.columns import InsertRows, Row
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

NAME = "history"
COLUMNS = {
    "stream": "text",
    "position": "bigint",
    "kind": "text",
    "path": "text",
    "uid": "text",
    "time": "timestamptz",
    "type": "text",
    "request": "text",
    "cause": "text",
    "actor": "text",
    "document": "text",
}
PARTS = (InsertRows(NAME, COLUMNS, on_conflict=""),)
_encode = msgspec.json.Encoder().encode


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
    return ([row(each) for each in folded],)


def row(folded: ProjectedEvent) -> Row:
    event = folded.event
    return (
        event.position.stream,
        event.position.sequence,
        event.ref.kind,
        event.ref.path,
        event.uid,
        event.time,
        NAMES[type(event.event)],
        event.request,
        str(event.cause) if event.cause.sequence else "",
        _encode(event.actor).decode(),
        folded.document,
    )


async def forget(tx: Tx, ref: Ref) -> None:
    await tx.execute("delete from history where kind = $1 and path = $2", ref.kind, ref.path)
