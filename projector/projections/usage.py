"""What was taken of what tenants may have, as a ledger: a row for the creation of each life, and
one for each time it took more or less. Its rows end when it is gone, and stay: how things stood at
a position is the same for whoever asks, whenever."""

from collections.abc import Sequence

from secaplane.kinds import KINDS
from secaplane.kinds.shares import quota_share
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import CloseRows, InsertRows, Row
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.tables import NEVER_ENDED, Tx

NAME = "usage"
LIFE = {"tenant": "text", "kind": "text", "stream": "text", "life": "bigint"}
UNTIL = {"until": "bigint"}
CHANGE = {"position": "bigint", "sku": "text", "number": "int", "amount": "bigint"}
PARTS = (
    CloseRows(NAME, LIFE | UNTIL, str(NEVER_ENDED)),
    InsertRows(NAME, LIFE | CHANGE | UNTIL, on_conflict=""),
)


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
    ended: dict[Position, Row] = {}
    came: list[tuple[Position, Row]] = []
    for each in folded:
        before, now = each.before, each.resource
        if before is not None and before.spec is now.spec and before.gone is now.gone:
            continue
        if not KINDS[now.ref.kind].counted:
            continue
        tenant = now.ref.path.split("/", 2)[1]
        place = (tenant, now.ref.kind, now.life.stream, now.life.sequence)
        if now.gone:
            ended[now.life] = (*place, now.position.sequence)
        else:
            changes = _changes(before, now)
            came += ((now.life, (*place, now.position.sequence, *change)) for change in changes)
    until = {life: row[-1] for life, row in ended.items()}
    return list(ended.values()), [(*row, until.get(life, NEVER_ENDED)) for life, row in came]


def _changes(before: Resource | None, now: Resource) -> list[Row]:
    """By SKU: how many more, and how much more."""
    is_ = quota_share(now.ref, now.spec)
    if before is None or before.life != now.life:
        return [(is_.sku, is_.number, is_.amount)]
    was = quota_share(before.ref, before.spec)
    if was == is_:
        return []
    if was.sku == is_.sku:
        return [(is_.sku, 0, is_.amount - was.amount)]
    return [(was.sku, -was.number, -was.amount), (is_.sku, is_.number, is_.amount)]


async def forget(tx: Tx, ref: Ref) -> None:
    """Comes before its rows are forgotten, which say which lives it had."""
    await tx.execute(
        "delete from usage where tenant = $1 and kind = $2 and life in"
        " (select life from resources where kind = $2 and collection = $3 and name = $4)",
        ref.scope("tenants"),
        ref.kind,
        ref.collection,
        ref.name,
    )
