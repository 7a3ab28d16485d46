"""The group `history`: one row for each event, with the resource as it was after it."""

from secaplane.readmodel.schema.group import TableGroup

HISTORY = TableGroup(
    name="history",
    layout=5,
    digest="096920fb4e1832e8",
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
    workspace text       collate "C" not null, -- that contains the resource, or that it is
    failed   bool        not null, -- the cloud reports an error
    reason   text        not null, -- of a report
    resource text        not null,
    primary key (stream, position)
);
create index if not exists history_of on {schema}.history (kind, path, position);
create index if not exists history_in_tenant on {schema}.history (tenant, time, stream, position);
create index if not exists history_in_workspace on {schema}.history
    (tenant, workspace, time, stream, position) where workspace <> '';
""",
)
