"""The role that reads the tables can do nothing else, whatever a process that uses it is made to
send."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from secaplane.projector.groups import RESOURCES
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.tables import READER

DENIED = (
    "select lo_creat(-1)",
    "select lo_create(0)",
    "select lo_from_bytea(0, '\\x00')",
    "select lo_open(1, 131072)",
    "select lo_put(1, 0, '\\x00')",
    "select lo_unlink(1)",
    "select lo_import('/etc/hostname')",
    "select loread(0, 1)",
    "select lowrite(0, '\\x00')",
    "create temporary table mine (n int)",
    "create table mine (n int)",
    "create schema mine",
    "insert into checkpoints (stream) values ('x')",
    "update resources set gone = true",
    "delete from quarantine",
    "truncate resources",
    "drop table resources",
    "select pg_read_file('/etc/hostname')",
    "copy resources to program 'true'",
    "create function f() returns int language sql as 'select 1'",
    "set role postgres",
    "alter role secaplane_reader superuser",
)


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session with the rights of the reader."""
    owner = await asyncpg.connect(database_url)
    if not await owner.fetchval("select exists (select from pg_roles where rolname = $1)", READER):
        await owner.execute(f"create role {READER}")
    await tables.prepare(database_url, RESOURCES.tables)
    await owner.execute(f"set search_path to {RESOURCES.tables.first}")
    await owner.execute(f"set session authorization {READER}")
    try:
        yield owner
    finally:
        await owner.close()


async def test_the_reader_reads_every_table(reader: asyncpg.Connection) -> None:
    names = await reader.fetch(
        "select tablename from pg_tables where schemaname = $1", RESOURCES.tables.first
    )
    assert "resources" in {row[0] for row in names}
    for (name,) in names:
        assert await reader.fetchval(f"select count(*) from {name}") == 0
    assert await reader.fetchval("select count(*) from secaplane.active") == 0


@pytest.mark.parametrize("statement", DENIED)
async def test_the_reader_can_do_nothing_else(reader: asyncpg.Connection, statement: str) -> None:
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)):
        await reader.execute(statement)
