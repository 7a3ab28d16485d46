"""Who refers to what: one row for each resource that is not gone and each target that its spec may
mean, whether that is there or not."""

from collections.abc import Sequence

from secaplane.kinds.references import targets_of
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import DeleteRows, InsertRows, Row, addresses
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

NAME = "links"
COLUMNS = {"target_kind": "text", "target_path": "text", "kind": "text", "path": "text"}
PARTS = (DeleteRows(NAME, COLUMNS), InsertRows(NAME, COLUMNS))


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
    went: list[Row] = []
    came: list[Row] = []
    for before, after in addresses(folded):
        if before is None or before.spec is not after.spec or before.gone is not after.gone:
            was, now = _targets(before), _targets(after)
            went += (_row(target, after.ref) for target in was - now)
            came += (_row(target, after.ref) for target in now - was)
    return went, came


def _targets(resource: Resource | None) -> frozenset[Ref]:
    if resource is None or resource.gone:
        return frozenset()
    return targets_of(resource.ref, resource.spec)


def _row(target: Ref, ref: Ref) -> Row:
    return target.kind, target.path, ref.kind, ref.path


async def forget(tx: Tx, ref: Ref) -> None:
    await tx.execute("delete from links where kind = $1 and path = $2", ref.kind, ref.path)
