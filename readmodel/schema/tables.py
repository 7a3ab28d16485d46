"""The schema. Each read model is a PostgreSQL schema of its own, `rm_<n>`; there is no ALTER: a new
one is filled from the log beside the old one, and then `secaplane.active` names it."""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

LAYOUT = 4
"""Changes with the tables, and with what is put into them. Releases of two layouts run side by
side, each on read models of its own."""
NEVER_ENDED = 2**63 - 1
"""A position that never comes: until then lasts what lasts."""
READ_MODEL = "rm_1"
"""What the first read model of a fresh database is called."""
PREFIX = "rm_"
Tx = asyncpg.Connection | PoolConnectionProxy
READER = "secaplane_reader"
"""The role, if there is one, that may read and nothing else: every process but the projector."""
DATABASE_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a server says that dies meets nobody's question
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The database's trouble, not the question's: the same may be asked again a moment later."""
ANSWER_S_MAX, CONNECT_S_MAX = 5, 5
ADMIN_SCHEMA = "secaplane"
"""The schema of what outlives every read model: which of them are active."""

_LOCK = 0x5ECA
"""Key of the advisory lock under which schemas are made: several processes may start at once."""

ACTIVE = f"""
create schema if not exists {ADMIN_SCHEMA};
create table if not exists {ADMIN_SCHEMA}.active (
    read_model text not null
);
-- the first release wrote one row, and named no layout
alter table {ADMIN_SCHEMA}.active
    add column if not exists layout int not null default 1,
    add column if not exists since timestamptz not null default now(),
    drop column if exists only_row;
create unique index if not exists active_of_layout on {ADMIN_SCHEMA}.active (layout);
"""

TABLES = """
create schema if not exists {schema};

create table if not exists {schema}.checkpoints (
    projection text   not null,
    stream     text   not null,
    position   bigint not null default 0,
    epoch      bigint not null default 0, -- counts changes of the quarantine
    primary key (projection, stream)
);

create table if not exists {schema}.resources (
    kind        text   collate "C" not null,
    collection  text   collate "C" not null,
    name        text   collate "C" not null,
    life        bigint not null,
    stream      text   collate "C" not null,
    path        text   collate "C" not null,
    uid         text   collate "C" not null,
    labels      jsonb  not null,
    document    text   not null,
    resource    text   not null,
    position    bigint not null,
    deleted     bool   not null,
    gone        bool   not null,
    unfinished  bool   not null,
    quarantined bool   not null default false,
    primary key (kind, collection, name, life)
) with (fillfactor = 80);
create unique index if not exists resources_living on {schema}.resources (kind, path)
    where not gone;
create index if not exists resources_life on {schema}.resources (life);
create index if not exists resources_unfinished on {schema}.resources (kind, path)
    where unfinished;

-- every label of every life, in the order in which a list of those that bear it goes
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

-- what is not gone, and what it refers to
create table if not exists {schema}.links (
    target_kind text collate "C" not null,
    target_path text collate "C" not null,
    kind        text collate "C" not null,
    path        text collate "C" not null,
    primary key (target_kind, target_path, kind, path)
);
create index if not exists links_from on {schema}.links (kind, path);

-- how many that are not gone lie in a resource whose kind counts them
create table if not exists {schema}.counts (
    path   text   collate "C" primary key,
    inside bigint not null
) with (fillfactor = 50);

-- what was taken of what a tenant may have, from which position on, and until which
create table if not exists {schema}.usage (
    tenant   text   collate "C" not null,
    kind     text   collate "C" not null,
    stream   text   collate "C" not null,
    life     bigint not null,
    position bigint not null,
    sku      text   collate "C" not null,
    number   int    not null,
    amount   bigint not null,
    until    bigint not null
);
create index if not exists usage_until on {schema}.usage (tenant, kind, until, life);

create table if not exists {schema}.history (
    stream   text        collate "C" not null,
    position bigint      not null,
    kind     text        collate "C" not null,
    path     text        collate "C" not null,
    uid      text        collate "C" not null,
    time     timestamptz not null,
    type     text        collate "C" not null,
    request  text        not null,
    cause    text        not null,
    actor    text        not null,
    document text        not null,
    primary key (stream, position)
);
create index if not exists history_of on {schema}.history (kind, path, position);

create table if not exists {schema}.quarantine (
    kind       text   collate "C" not null,
    path       text   collate "C" not null,
    stream     text   collate "C" not null,
    position   bigint not null,
    reason     text   not null,
    primary key (kind, path)
);
"""


GRANTS = f"""
do $$ begin
    if exists (select from pg_roles where rolname = '{READER}') then
        grant usage on schema {{schema}} to {READER};
        grant select on all tables in schema {{schema}} to {READER};
    end if;
end $$;
"""


async def prepare(url: str, schema: str | None = READ_MODEL) -> None:
    """Make what is missing: the house's own schema, and a read model's where one is named. What is
    there stays as it is."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(ACTIVE)
            await connection.execute(GRANTS.format(schema=ADMIN_SCHEMA))
            if schema is not None:
                await connection.execute(TABLES.format(schema=schema))
                await connection.execute(GRANTS.format(schema=schema))
    finally:
        await connection.close()


async def open_pool(
    url: str, *, schema: str = READ_MODEL, size: int = 4, writes: bool = False, **more: Any
) -> asyncpg.Pool:
    """A pool whose questions are asked of one read model.

    Connections come back without the usual reset round trip: nobody here leaves session state
    behind. Who `writes` does not wait for the disk: rows and checkpoint go or stay together, and
    the log has the rest.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        server_settings={"search_path": schema} | _OF_ALL | (_OF_WRITERS if writes else {}),
        reset=_nothing_to_reset,
        command_timeout=ANSWER_S_MAX,
        timeout=CONNECT_S_MAX,
        **more,
    )


_OF_ALL = {
    "application_name": "secaplane",
    "jit": "off",
    # every question has an index, and asks for a page at most
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}
_OF_WRITERS = {
    "synchronous_commit": "off",
    "plan_cache_mode": "force_generic_plan",
    # a plan made while a table is empty must be the right one when it is full
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def _nothing_to_reset(connection: Any) -> None:
    return None
