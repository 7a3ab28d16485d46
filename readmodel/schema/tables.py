"""The schemas in the database: creating them, and pools that read or write one of them."""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from secaplane.readmodel.schema.bounded_pool import bounded_pool
from secaplane.readmodel.schema.group import HOUSEKEEPING, TableGroup

Tx = asyncpg.Connection | PoolConnectionProxy
READER = "secaplane_reader"
"""The role, if it exists, that may only read: every process but the projector connects as it."""
DATABASE_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server that dies may send what belongs to no query
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""Errors of the database, not of the query: the same query may succeed later."""
SCHEMA_DEFECTS = (
    asyncpg.SyntaxOrAccessError,  # class 42: table, column or function undefined, no privilege
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCachedStatementError,
)
"""Errors of the tables, not of an event: no event can be written until they are repaired."""
ANSWER_S_MAX, CONNECT_S_MAX = 5, 5
ADMIN_SCHEMA = "secaplane"
"""The schema of what outlives every read model: which of them are active, in which replica."""

_LOCK = 0x5ECA
"""Key of the advisory lock under which schemas are created: several processes start at once."""

ACTIVE = f"""
create schema if not exists {ADMIN_SCHEMA};
-- the read model that readers of a group's layout use
create table if not exists {ADMIN_SCHEMA}.active (
    projection_group text        collate "C" not null,
    layout           int         not null,
    read_model       text        collate "C" not null,
    since            timestamptz not null default now(),
    primary key (projection_group, layout)
);
-- the identity of this database among the replicas of the read model: one row
create table if not exists {ADMIN_SCHEMA}.replica (
    single boolean primary key default true check (single),
    name   text    collate "C" not null,
    id     text    collate "C" not null default replace(gen_random_uuid()::text, '-', '')
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


REVOKES = """
do $$
declare function regprocedure;
begin
    execute format('revoke temporary on database %I from public', current_database());
    if (select rolsuper from pg_roles where rolname = current_user) then
        for function in
            select oid::regprocedure from pg_proc
            where pronamespace = 'pg_catalog'::regnamespace
                and (proname like 'lo\\_%' or proname in ('loread', 'lowrite'))
                and has_function_privilege('public', oid, 'execute')
        loop
            execute format('revoke execute on function %s from public', function);
        end loop;
    end if;
end $$;
"""
"""Rights that PostgreSQL gives every role, and with which a reader could fill the disk: temporary
tables, and large objects. Only a superuser may revoke the latter; where the owner of the tables is
none, a superuser does it once (deploy/postgres-init.sh)."""


async def prepare(url: str, group: TableGroup | None = None, read_model: str = "") -> None:
    """Create what is missing: the schema `secaplane`, and the tables of a read model of a group
    (its first one, unless another is named). What exists stays as it is."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(REVOKES)
            await connection.execute(ACTIVE)
            await connection.execute(GRANTS.format(schema=ADMIN_SCHEMA))
            if group is not None:
                schema = read_model or group.first
                await connection.execute(HOUSEKEEPING.format(schema=schema))
                await connection.execute(group.tables.format(schema=schema))
                await connection.execute(GRANTS.format(schema=schema))
    finally:
        await connection.close()


async def open_pool(
    url: str,
    *,
    schema: str,
    size: int = 4,
    writes: bool = False,
    statement_s_max: float = 0.0,
    **more: Any,
) -> asyncpg.Pool:
    """A pool whose queries read one read model.

    Connections are handed back without the usual reset round trip, because no query leaves session
    state behind. A pool that `writes` does not wait for the disk: rows and checkpoint are kept or
    lost together, and the log has the rest (docs/decisions/005). One whose statements are bounded
    in time connects when it is first used.
    """
    bounded = {"statement_timeout": str(int(statement_s_max * 1000))} if statement_s_max else {}
    settings = {"search_path": schema} | _OF_ALL | (_OF_WRITERS if writes else {}) | bounded
    return await bounded_pool(
        url,
        size=size,
        connects_late=bool(bounded),
        server_settings=settings,
        reset=_nothing_to_reset,
        command_timeout=ANSWER_S_MAX,
        timeout=CONNECT_S_MAX,
        **more,
    )


_OF_ALL = {
    "application_name": "secaplane",
    "jit": "off",
    # every query has an index, and reads a page at most
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}
_OF_WRITERS = {
    "synchronous_commit": "off",
    "plan_cache_mode": "force_generic_plan",
    # a plan that is made while a table is empty must be the right one when it is full
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def _nothing_to_reset(connection: Any) -> None:
    return None
