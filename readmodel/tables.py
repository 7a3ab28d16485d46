"""The schema. Each version of the read model is a PostgreSQL schema of its own; there is no ALTER:
a new version is filled from the log beside the old one."""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

READ_MODEL = "rm_1"
Tx = asyncpg.Connection | PoolConnectionProxy
READER = "secaplane_reader"
"""The role, if there is one, that may read and nothing else: every process but the projector."""
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The database's trouble, not the question's: the same may be asked again a moment later."""
ANSWER_S_MAX, CONNECT_S_MAX = 5, 5
HOUSE = "secaplane"
"""The schema of what outlives every version: which of them is active."""

_LOCK = 0x5ECA
"""Key of the advisory lock under which schemas are made: several processes may start at once."""

ACTIVE = f"""
create schema if not exists {HOUSE};
create table if not exists {HOUSE}.active (
    only_row   bool primary key default true check (only_row),
    read_model text not null
);
insert into {HOUSE}.active (read_model) values ('{READ_MODEL}') on conflict do nothing;
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
create index if not exists resources_unfinished on {schema}.resources (kind, path)
    where unfinished;
create index if not exists resources_labels on {schema}.resources using gin (labels jsonb_path_ops);

create table if not exists {schema}.history (
    position bigint primary key,
    kind     text        collate "C" not null,
    path     text        collate "C" not null,
    uid      text        collate "C" not null,
    time     timestamptz not null,
    type     text        collate "C" not null,
    request  text        not null,
    cause    bigint      not null,
    by       text        not null,
    document text        not null
);
create index if not exists history_of on {schema}.history (kind, path, position);

create table if not exists {schema}.quarantine (
    kind       text   collate "C" not null,
    path       text   collate "C" not null,
    position   bigint not null,
    reason     text   not null,
    primary key (kind, path)
);
"""


GRANTS = f"""
do $$ begin
    if exists (select from pg_roles where rolname = '{READER}') then
        grant usage on schema {HOUSE}, {{schema}} to {READER};
        grant select on all tables in schema {HOUSE}, {{schema}} to {READER};
    end if;
end $$;
"""


async def prepare(url: str, schema: str = READ_MODEL) -> None:
    """Make what is missing; what is there stays as it is."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(ACTIVE)
            await connection.execute(TABLES.format(schema=schema))
            await connection.execute(GRANTS.format(schema=schema))
    finally:
        await connection.close()


async def open_pool(
    url: str, *, schema: str = READ_MODEL, size: int = 4, writes: bool = False
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
        server_settings={"search_path": schema, "application_name": "secaplane", "jit": "off"}
        | (_OF_WRITERS if writes else {}),
        reset=_nothing_to_reset,
        command_timeout=ANSWER_S_MAX,
        timeout=CONNECT_S_MAX,
    )


_OF_WRITERS = {"synchronous_commit": "off", "plan_cache_mode": "force_generic_plan"}


async def refuse_unprepared(pool: asyncpg.Pool) -> None:
    """Raises asyncpg's UndefinedTableError until the projector has made the tables."""
    await pool.execute("select from quarantine limit 0")


async def _nothing_to_reset(connection: Any) -> None:
    return None
