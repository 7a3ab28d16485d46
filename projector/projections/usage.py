"""Shares of quotas: a row for the creation of each life, and one for each change of its share.

Its rows are closed when it is gone, and stay, so that the usage at a position is the same whenever
it is asked for (docs/decisions/020).
"""

from collections.abc import Sequence

from secaplane.kinds import KINDS
from secaplane.kinds.shares import quota_share
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import CloseRows, InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.resources import NEVER_ENDED
from secaplane.readmodel.schema.tables import Tx

LIFE = {"tenant": "text", "kind": "text", "stream": "text", "life": "bigint"}
CHANGE = {"position": "bigint", "sku": "text", "number": "int", "amount": "bigint"}
TIME = {"time": "timestamptz"}
UNTIL = {"until": "bigint"}


class Usage:
    NAME = "usage"
    CHANGES: Sequence[TableChange] = (
        CloseRows(NAME, LIFE | UNTIL, str(NEVER_ENDED)),
        InsertRows(NAME, LIFE | CHANGE | TIME | UNTIL, on_conflict=""),
    )

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row], list[Row]]:
        """The lives that ended, and the changes of shares."""
        ended: dict[Position, Row] = {}
        added: list[tuple[Position, Row]] = []
        for each in folded:
            before, now = each.before, each.resource
            if before is not None and before.spec is now.spec and before.gone is now.gone:
                continue
            if not KINDS[now.ref.kind].counted:
                continue
            tenant = now.ref.path.split("/", 2)[1]
            life = (tenant, now.ref.kind, now.life.stream, now.life.sequence)
            if now.gone:
                ended[now.life] = (*life, now.position.sequence)
            else:
                added += (
                    (now.life, (*life, now.position.sequence, *change, now.time))
                    for change in _changes(before, now)
                )
        until = {life: row[-1] for life, row in ended.items()}
        return list(ended.values()), [(*row, until.get(life, NEVER_ENDED)) for life, row in added]

    async def forget(self, tx: Tx, ref: Ref) -> None:
        """Before its rows in `resources` are forgotten, which name its lives."""
        await tx.execute(
            "delete from usage where tenant = $1 and kind = $2 and life in"
            " (select life from resources where kind = $2 and collection = $3 and name = $4)",
            ref.scope("tenants"),
            ref.kind,
            ref.collection,
            ref.name,
        )


def _changes(before: Resource | None, now: Resource) -> list[Row]:
    """By SKU: how many more, and how much more."""
    new = quota_share(now.ref, now.spec)
    if before is None or before.life != now.life:
        return [(new.sku, new.number, new.amount)]
    old = quota_share(before.ref, before.spec)
    if old == new:
        return []
    if old.sku == new.sku:
        return [(new.sku, 0, new.amount - old.amount)]
    return [(old.sku, -old.number, -old.amount), (new.sku, new.number, new.amount)]
