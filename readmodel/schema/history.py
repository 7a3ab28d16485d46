"""The group `history`: one row for each event, with the resource as it was after it."""

from secaplane.readmodel.schema.group import TableGroup

HISTORY = TableGroup(
    name="history",
    layout=4,
    digest="31f330da362e45ea",
    tables="""
create table if not exists {schema}.history (
    stream   text        collate "C" not null,
    position bigint      not null,
    kind     text        collate "C" not null,
    path     text        collate "C" not null,
    uid      text        collate "C" not null,
    tenant   text        collate "C" not null, -- uid of the life of the containing tenant
    time     timestamptz not null,
    type     text        collate "C" not null,
    request  text        not null,
    cause    text        not null,
    actor    text        not null,
    resource text        not null,
    primary key (stream, position)
);
create index if not exists history_of on {schema}.history (kind, path, position);
""",
)
