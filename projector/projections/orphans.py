"""One row for each life that was closed without asking the cloud: the cloud may still hold it."""

from collections.abc import Sequence

from secaplane.kinds import KINDS
from secaplane.model.events import Closed
from secaplane.model.kind import Backing
from secaplane.model.shape import Ref
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

COLUMNS = {
    "kind": "text",
    "path": "text",
    "uid": "text",
    "stream": "text",
    "position": "bigint",
    "time": "timestamptz",
}


class Orphans:
    NAME = "orphans"
    CHANGES: Sequence[TableChange] = (InsertRows(NAME, COLUMNS, on_conflict=""),)

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        return ([_row(each) for each in folded if _may_be_left(each)],)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from orphans where kind = $1 and path = $2", ref.kind, ref.path)


def _may_be_left(folded: ProjectedEvent) -> bool:
    backing = KINDS[folded.event.ref.kind].backing
    return isinstance(folded.event.event, Closed) and backing is Backing.PLUGIN


def _row(folded: ProjectedEvent) -> Row:
    event, before = folded.event, folded.before
    uid = before.uid if before is not None and not before.gone else ""
    where = (event.position.stream, event.position.sequence)
    return event.ref.kind, event.ref.path, uid, *where, event.time
