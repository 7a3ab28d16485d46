"""One row for each label of each life: what lists that are filtered by labels go by. What is gone
keeps its labels, because it stays listed for those who ask."""

from collections.abc import Sequence

from secaplane.model.shape import Labels, Ref, Resource
from secaplane.projector.columns import DeleteRows, InsertRows, Row, lives
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

NAME = "labels"
COLUMNS = {
    "kind": "text",
    "collection": "text",
    "key": "text",
    "value": "text",
    "name": "text",
    "life": "bigint",
}
PARTS = (DeleteRows(NAME, COLUMNS), InsertRows(NAME, COLUMNS))
_NONE: Labels = {}


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
    """Those that went and those that came, so that one statement can do both."""
    went: list[Row] = []
    came: list[Row] = []
    for before, after in lives(folded):
        was = before.labels or _NONE if before is not None else _NONE
        now = after.labels or _NONE
        if was is not now:
            went += (_row(after, *pair) for pair in was.items() - now.items())
            came += (_row(after, *pair) for pair in now.items() - was.items())
    return went, came


def _row(resource: Resource, key: str, value: str) -> Row:
    ref = resource.ref
    return ref.kind, ref.collection, key, value, ref.name, resource.life.sequence


async def forget(tx: Tx, ref: Ref) -> None:
    await tx.execute(
        "delete from labels where kind = $1 and collection = $2 and name = $3",
        ref.kind,
        ref.collection,
        ref.name,
    )
