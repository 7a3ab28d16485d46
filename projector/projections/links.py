"""One row for each reference: a resource that is not gone, and a target that its spec may mean,
whether that exists or not."""

from collections.abc import Sequence

from secaplane.kinds.references import targets_of
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import DeleteRows, InsertRows, Row, TableChange, addresses
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

COLUMNS = {"target_kind": "text", "target_path": "text", "kind": "text", "path": "text"}


class Links:
    NAME = "links"
    CHANGES: Sequence[TableChange] = (DeleteRows(NAME, COLUMNS), InsertRows(NAME, COLUMNS))

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
        removed: list[Row] = []
        added: list[Row] = []
        for before, after in addresses(folded):
            if before is None or before.spec is not after.spec or before.gone is not after.gone:
                old, new = _targets(before), _targets(after)
                removed += (_row(target, after.ref) for target in old - new)
                added += (_row(target, after.ref) for target in new - old)
        return removed, added

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from links where kind = $1 and path = $2", ref.kind, ref.path)


def _targets(resource: Resource | None) -> frozenset[Ref]:
    if resource is None or resource.gone:
        return frozenset()
    return targets_of(resource.ref, resource.spec)


def _row(target: Ref, ref: Ref) -> Row:
    return target.kind, target.path, ref.kind, ref.path
