"""One row for each label of each life, for lists filtered by labels. A resource that is gone keeps
its labels, because it stays in lists that show deleted resources."""

from collections.abc import Sequence

from secaplane.model.shape import Labels, Ref, Resource
from secaplane.projector.columns import DeleteRows, InsertRows, Row, TableChange, lives
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

COLUMNS = {
    "kind": "text",
    "collection": "text",
    "key": "text",
    "value": "text",
    "name": "text",
    "life": "bigint",
}
_NONE: Labels = {}


class LabelRows:
    NAME = "labels"
    CHANGES: Sequence[TableChange] = (DeleteRows(NAME, COLUMNS), InsertRows(NAME, COLUMNS))

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
        """The rows that go and the rows that come; they have none in common, so that one statement
        can do both."""
        removed: list[Row] = []
        added: list[Row] = []
        for before, after in lives(folded):
            old = before.labels or _NONE if before is not None else _NONE
            new = after.labels or _NONE
            if old is not new:
                removed += (_row(after, *pair) for pair in old.items() - new.items())
                added += (_row(after, *pair) for pair in new.items() - old.items())
        return removed, added

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute(
            "delete from labels where kind = $1 and collection = $2 and name = $3",
            ref.kind,
            ref.collection,
            ref.name,
        )


def _row(resource: Resource, key: str, value: str) -> Row:
    ref = resource.ref
    return ref.kind, ref.collection, key, value, ref.name, resource.life.sequence
