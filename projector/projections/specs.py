"""Every spec, with its position, of the kinds that quotas are computed from: tenants and SKUs."""

from collections.abc import Sequence

import msgspec

from secaplane.kinds.shares import QUOTA_SOURCES
from secaplane.model.shape import Ref
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

COLUMNS = {
    "kind": "text",
    "path": "text",
    "stream": "text",
    "position": "bigint",
    "time": "timestamptz",
    "spec": "text",
}
_encode = msgspec.json.Encoder().encode


class Specs:
    NAME = "specs"
    CHANGES: Sequence[TableChange] = (InsertRows(NAME, COLUMNS, on_conflict=""),)

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        return ([_row(each) for each in folded if _changed(each)],)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from specs where kind = $1 and path = $2", ref.kind, ref.path)


def _changed(folded: ProjectedEvent) -> bool:
    before, after = folded.before, folded.resource
    return after.ref.kind in QUOTA_SOURCES and (before is None or before.spec is not after.spec)


def _row(folded: ProjectedEvent) -> Row:
    event, resource = folded.event, folded.resource
    return (
        event.ref.kind,
        event.ref.path,
        event.position.stream,
        event.position.sequence,
        event.time,
        _encode(resource.spec).decode(),
    )
