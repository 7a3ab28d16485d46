"""The group `resources`: the tables that GET, LIST, commands, policy and reconcilers read.

They are one group because they answer together: a command reads resources, links and usage at one
position.
"""

from secaplane.readmodel.schema.group import TableGroup

NEVER_ENDED = 2**63 - 1
"""`usage.until` of what has not ended: a position that is never reached."""

RESOURCES = TableGroup(
    name="resources",
    layout=8,
    digest="8b332dac1039c8af",
    tables="""
-- each life of each resource: the fold of its events, and the document that a GET answers
create table if not exists {schema}.resources (
    kind              text   collate "C" not null,
    collection        text   collate "C" not null,
    name              text   collate "C" not null,
    life              bigint not null,
    stream            text   collate "C" not null,
    path              text   collate "C" not null,
    uid               text   collate "C" not null,
    tenant            text   collate "C" not null, -- uid of the life of the containing tenant
    labels            jsonb  not null,
    document          text   not null,
    resource          text   not null,
    position          bigint not null,
    terminating       bool   not null,
    gone              bool   not null,
    unsettled         bool   not null,
    created_by_system bool   not null,
    primary key (kind, collection, name, life)
) with (fillfactor = 80);
create unique index if not exists resources_living on {schema}.resources (kind, path)
    where not gone;
create index if not exists resources_life on {schema}.resources (life);
create index if not exists resources_unsettled on {schema}.resources (kind, path)
    where unsettled;

-- every label of every life, in the order of a list that is filtered by it
create table if not exists {schema}.labels (
    kind       text   collate "C" not null,
    collection text   collate "C" not null,
    key        text   collate "C" not null,
    value      text   collate "C" not null,
    number     numeric generated always as (
        case when value ~ '^[+-]?[0-9]{{1,64}}([.][0-9]{{1,64}})?$' then value::numeric end
    ) stored,
    name       text   collate "C" not null,
    life       bigint not null,
    primary key (kind, collection, key, value, name, life)
);
create index if not exists labels_numbers on {schema}.labels
    (kind, collection, key, number, name, life) where number is not null;

-- the references of every resource that is not gone
create table if not exists {schema}.links (
    target_kind text collate "C" not null,
    target_path text collate "C" not null,
    kind        text collate "C" not null,
    path        text collate "C" not null,
    primary key (target_kind, target_path, kind, path)
);
create index if not exists links_from on {schema}.links (kind, path);

-- the number of resources that are contained in a resource and are not gone
create table if not exists {schema}.counts (
    path      text   collate "C" primary key,
    contained bigint not null
) with (fillfactor = 50);

-- shares of quotas: what each life took of its tenant's quotas, from a position until a position
create table if not exists {schema}.usage (
    tenant   text        collate "C" not null,
    kind     text        collate "C" not null,
    stream   text        collate "C" not null,
    life     bigint      not null,
    position bigint      not null,
    sku      text        collate "C" not null,
    number   int         not null,
    amount   bigint      not null,
    time     timestamptz not null,
    until    bigint      not null
);
create index if not exists usage_until on {schema}.usage (tenant, kind, until, life);
create index if not exists usage_position on {schema}.usage (position);

-- every spec, with its position, of the kinds that quotas are computed from (tenants and SKUs)
create table if not exists {schema}.specs (
    kind     text        collate "C" not null,
    path     text        collate "C" not null,
    stream   text        collate "C" not null,
    position bigint      not null,
    time     timestamptz not null,
    spec     text        not null,
    primary key (kind, path, position)
);

-- the lives whose history was closed because it could not be read: the cloud may still hold them
create table if not exists {schema}.orphans (
    kind     text        collate "C" not null,
    path     text        collate "C" not null,
    uid      text        collate "C" not null, -- empty where it is not known
    stream   text        collate "C" not null,
    position bigint      not null,
    time     timestamptz not null,
    primary key (kind, path, position)
);
""",
)
