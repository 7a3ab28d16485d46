"""The number of resources contained in each resource whose kind counts them; what is gone does not
count."""

from collections.abc import Sequence
from functools import lru_cache

from secaplane.kinds import KINDS, parents
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import InsertRows, Row, TableChange, addresses
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

COLLECTIONS_MAX = 10_000
ON_CONFLICT = """
on conflict (path) do update set contained = counts.contained + excluded.contained
"""


class Counts:
    NAME = "counts"
    CHANGES: Sequence[TableChange] = (
        InsertRows(NAME, {"path": "text", "contained": "bigint"}, ON_CONFLICT),
    )

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        """The change of each count. A resource that came and went within the batch changes it by
        nothing, and yet has its row: rows do not depend on how events were batched."""
        changes = dict[str, int]()
        for before, after in addresses(folded):
            if before is None or before.life != after.life or before.gone is not after.gone:
                change = _counted(after) - _counted(before)
                for path in _counting(after.ref.kind, after.ref.collection):
                    changes[path] = changes.get(path, 0) + change
        return (list(changes.items()),)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        """Before its row in `resources` is forgotten, which says whether it was counted."""
        await tx.execute(
            "update counts set contained = contained - 1 where path = any($1) and exists"
            " (select from resources where kind = $2 and path = $3 and not gone)",
            _counting(ref.kind, ref.collection),
            ref.kind,
            ref.path,
        )


def _counted(resource: Resource | None) -> int:
    return int(resource is not None and not resource.gone)


@lru_cache(COLLECTIONS_MAX)
def _counting(kind: str, collection: str) -> tuple[str, ...]:
    """The paths above a collection that count; the same for all resources of the collection."""
    above = parents(Ref(kind, f"{collection}/-"))
    return tuple(each.path for each in above if KINDS[each.kind].derived.resource_count)
