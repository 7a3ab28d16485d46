"""How many resources that are not gone lie in each resource whose kind counts them."""

from collections.abc import Sequence
from functools import lru_cache

from secaplane.kinds import KINDS, parents
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import InsertRows, Row, addresses
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import Tx

NAME = "counts"
COLLECTIONS_MAX = 10_000
PARTS = (
    InsertRows(
        NAME,
        {"path": "text", "inside": "bigint"},
        "on conflict (path) do update set inside = counts.inside + excluded.inside",
    ),
)


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
    """By how much each count changes. What came and went again within the batch changes it by
    nothing, and leaves its row all the same: rows do not depend on how events were batched."""
    changes = dict[str, int]()
    for before, after in addresses(folded):
        if before is None or before.life != after.life or before.gone is not after.gone:
            change = _lives(after) - _lives(before)
            for path in _counted_in(after.ref.kind, after.ref.collection):
                changes[path] = changes.get(path, 0) + change
    return (list(changes.items()),)


def _lives(resource: Resource | None) -> int:
    return int(resource is not None and not resource.gone)


@lru_cache(COLLECTIONS_MAX)
def _counted_in(kind: str, collection: str) -> tuple[str, ...]:
    """The same for all that lie side by side."""
    above = parents(Ref(kind, f"{collection}/-"))
    return tuple(each.path for each in above if KINDS[each.kind].derived.resource_count)


async def forget(tx: Tx, ref: Ref) -> None:
    """Comes before its row is forgotten, which says whether it was counted."""
    await tx.execute(
        "update counts set inside = inside - 1 where path = any($1) and exists"
        " (select from resources where kind = $2 and path = $3 and not gone)",
        _counted_in(ref.kind, ref.collection),
        ref.kind,
        ref.path,
    )
