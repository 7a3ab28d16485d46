"""The group `activity`: one row for each entry of the security audit stream that concerns a
tenant."""

from secaplane.readmodel.schema.group import TableGroup

ACTIVITY = TableGroup(
    name="activity",
    layout=2,
    digest="447dcbde52a19f73",
    tables="""
create table if not exists {schema}.entries (
    stream    text        collate "C" not null,
    position  bigint      not null,
    subject   text        collate "C" not null, -- of the entry in the stream
    tenant    text        collate "C" not null, -- uid of the tenant's life; * is every tenant
    known     bool        not null, -- the tenant knows the caller
    time      timestamptz not null,
    outcome   text        collate "C" not null,
    status    int         not null, -- of the answer (HTTP)
    verb      text        collate "C" not null,
    kind      text        collate "C" not null,
    path      text        collate "C" not null, -- of the resource or collection
    workspace text        collate "C" not null,
    issuer    text        collate "C" not null,
    sub       text        collate "C" not null,
    request   text        not null,
    actor     text        not null,
    reason    text        not null,
    dropped   int         not null, -- entries of the same type and caller, left out before this one
    primary key (stream, position)
);
create index if not exists entries_known on {schema}.entries (tenant, time, stream, position)
    where known;
create index if not exists entries_unknown on {schema}.entries (tenant, time) where not known;
create index if not exists entries_subject on {schema}.entries (stream, subject, position);
""",
)
