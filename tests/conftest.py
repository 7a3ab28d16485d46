"""Servers and connections; each is started by the first test that requests it."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import settings
from nats.aio.client import Client

from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.resources import RESOURCES
from tests import servers

TEMPLATE = "secaplane_tests"
_number = count(1)
settings.register_profile("secaplane", deadline=None, database=None)
settings.load_profile("secaplane")


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    with servers.nats() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    with servers.postgres() as url:
        yield url


@pytest.fixture
async def nats_client(nats_url: str) -> AsyncIterator[Client]:
    """A client with the product's settings: nothing is buffered and delivered later."""
    async with servers.connected(nats_url) as client:
        yield client


@pytest.fixture
async def fresh_stream(nats_client: Client) -> str:
    """The name of the stream, emptied of the events of earlier tests."""
    return await servers.emptied(nats_client)


@pytest.fixture
async def database_url(postgres_server_url: str) -> AsyncIterator[str]:
    """A database of its own with the empty tables of the read model; yields its URL."""
    server = await asyncpg.connect(postgres_server_url)
    await _prepare_template(server, postgres_server_url)
    name = f"{TEMPLATE}_{next(_number)}"
    await server.execute(f"drop database if exists {name} with (force)")
    await server.execute(f"create database {name} template {TEMPLATE}")
    yield _elsewhere(postgres_server_url, name)
    await server.execute(f"drop database {name} with (force)")
    await server.close()


async def _prepare_template(server: asyncpg.Connection, url: str) -> None:
    if await server.fetchval("select true from pg_database where datname = $1", TEMPLATE):
        return
    await server.execute(f"create database {TEMPLATE}")
    for group in (RESOURCES, HISTORY):
        await tables.prepare(_elsewhere(url, TEMPLATE), group)


def _elsewhere(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
