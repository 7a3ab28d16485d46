"""One row for each event, with the resource as it was after it: for history, as-of and diff."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from secaplane.eventlog.codec import NAMES
from secaplane.model.events import AnyEvent, Closed, RecordedEvent, StatusReported
from secaplane.model.shape import Ref, Resource, State
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.questions.resources import decode_resource
from secaplane.readmodel.schema.tables import Tx

COLUMNS = {
    "stream": "text",
    "position": "bigint",
    "kind": "text",
    "path": "text",
    "uid": "text",
    "tenant": "text",
    "time": "timestamptz",
    "type": "text",
    "request": "text",
    "cause": "text",
    "actor": "text",
    "workspace": "text",
    "failed": "bool",
    "reason": "text",
    "resource": "text",
}
REASON_LENGTH_MAX = 256
_encode = msgspec.json.Encoder().encode


class History:
    NAME = "history"
    CHANGES: Sequence[TableChange] = (InsertRows(NAME, COLUMNS, on_conflict=""),)

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        return ([_row(each) for each in folded],)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from history where kind = $1 and path = $2", ref.kind, ref.path)


def _row(folded: ProjectedEvent) -> Row:
    event = folded.event
    return (
        event.position.stream,
        event.position.sequence,
        event.ref.kind,
        event.ref.path,
        event.uid,
        event.tenant,
        event.time,
        NAMES[type(event.event)],
        event.request,
        str(event.cause) if event.cause.sequence else "",
        _encode(event.actor).decode(),
        event.ref.scope("workspaces"),
        isinstance(event.event, StatusReported) and event.event.state is State.ERROR,
        _reason(event.event),
        _encode(folded.resource).decode(),
    )


def _reason(event: AnyEvent) -> str:
    """Of a report, or of the end of a history that cannot be read."""
    match event:
        case StatusReported(reason=reason, message=message):
            text = ": ".join(each for each in (reason, message) if each)
        case Closed(reason=text):
            pass
        case _:
            return ""
    return text[:REASON_LENGTH_MAX].replace("\0", "")


async def load(tx: Tx | Pool, events: Sequence[RecordedEvent]) -> dict[Ref, Resource]:
    """The resource of each event as it was after the event before; of one that closes a history,
    after the last event that has a row."""
    rows = await tx.fetch(
        """
        select history.resource from unnest($1::text[], $2::bigint[]) as wanted (stream, position)
        join history using (stream, position)
        """,
        [each.previous.stream for each in events],
        [each.previous.sequence for each in events],
    )
    for each in events:
        if isinstance(each.event, Closed):
            last = "select resource from history where kind = $1 and path = $2 and position < $3"
            where = (each.ref.kind, each.ref.path, each.position.sequence)
            rows += await tx.fetch(f"{last} order by position desc limit 1", *where)
    return {resource.ref: resource for resource in (decode_resource(each[0]) for each in rows)}
