"""An example of a projection: the number of PUTs of callers, by tenant and day.

A distribution adds it to the projector process with an entry point in its pyproject.toml:

    [project.entry-points."secaplane.projections"]
    puts = "my_package.projection_example:PUTS"
"""

from collections import Counter
from collections.abc import Sequence

from secaplane.model.events import Created, RecordedEvent, Updated
from secaplane.model.shape import Ref
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.projector.projection import ProjectionGroup
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import Tx

TABLES = """
-- PUTs by resource, so that a resource can be forgotten; sum(puts) is the number of a tenant's day
create table if not exists {schema}.puts (
    tenant text   collate "C" not null,
    day    date   not null,
    kind   text   collate "C" not null,
    path   text   collate "C" not null,
    puts   bigint not null,
    primary key (tenant, day, kind, path)
);
create index if not exists puts_of on {schema}.puts (kind, path);
"""
COLUMNS = {"tenant": "text", "day": "date", "kind": "text", "path": "text", "puts": "bigint"}
ADD = "on conflict (tenant, day, kind, path) do update set puts = puts.puts + excluded.puts"


class Puts:
    NAME = "puts"
    CHANGES: Sequence[TableChange] = (InsertRows(NAME, COLUMNS, ADD),)

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        puts = Counter(_key(each.event) for each in folded if _is_put(each.event))
        return ([(*key, number) for key, number in puts.items()],)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from puts where kind = $1 and path = $2", ref.kind, ref.path)


def _is_put(event: RecordedEvent) -> bool:
    """Events with a cause follow from another event, not from a request."""
    return isinstance(event.event, Created | Updated) and not event.cause


def _key(event: RecordedEvent) -> Row:
    ref = event.ref
    return ref.scope("tenants"), event.time.date(), ref.kind, ref.path


PUTS = ProjectionGroup(TableGroup(name="puts", layout=1, tables=TABLES), (Puts(),), linger_s=0.5)
