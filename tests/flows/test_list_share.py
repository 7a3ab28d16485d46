"""Lists have connections and a bounded time of their own: GET by name never waits behind them."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from secaplane.model.errors import Unavailable
from secaplane.projector.rebuild import switch
from secaplane.readmodel import list_share
from secaplane.readmodel.list_share import ListShare
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import PoolSizes, ReadModelPool, open_read_model_pool
from secaplane.readmodel.schema.resources import RESOURCES

SLOW = "select pg_sleep(60)"


@pytest.fixture
async def reading(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ReadModelPool]:
    monkeypatch.setattr("secaplane.readmodel.schema.active.STATEMENT_S_MAX", 0.3)
    monkeypatch.setattr(list_share, "LIST_S_MAX", 0.6)
    await tables.prepare(database_url)
    connection = await asyncpg.connect(database_url)
    await switch(connection, RESOURCES, RESOURCES.first)
    await connection.close()
    opened = await open_read_model_pool(database_url, RESOURCES, sizes=PoolSizes(1, 2))
    yield opened
    await opened.pool.close()
    await opened.lists.close()


async def listed(lists: ListShare, query: str, *, scans: bool) -> int:
    async with lists.rows(scans=scans) as pool:
        found: int = await pool.fetchval(query)
        return found


async def test_a_list_that_takes_too_long_is_ended_and_says_how_to_make_it_shorter(
    reading: ReadModelPool,
) -> None:
    lists = ListShare(reading.lists, connections=2)
    with pytest.raises(Unavailable, match="select by key=value"):
        await listed(lists, SLOW, scans=True)
    assert await listed(lists, "select 1", scans=True) == 1


async def test_get_and_ordinary_lists_are_answered_while_scans_wait_for_each_other(
    reading: ReadModelPool,
) -> None:
    lists = ListShare(reading.lists, connections=2)
    scans = [asyncio.create_task(listed(lists, SLOW, scans=True)) for _ in range(20)]
    await asyncio.sleep(0)
    assert await reading.pool.fetchval("select 1") == 1
    assert await listed(lists, "select 1", scans=False) == 1
    assert not any(each.done() for each in scans)
    for each in await asyncio.gather(*scans, return_exceptions=True):
        assert isinstance(each, Unavailable)
    assert await listed(lists, "select 1", scans=True) == 1


async def test_lists_read_the_active_read_model(reading: ReadModelPool) -> None:
    async with reading.lists.acquire() as connection:
        assert await connection.fetchval("show search_path") == RESOURCES.first
    reading.switch("resources_2")
    async with reading.lists.acquire() as connection:
        assert await connection.fetchval("show search_path") == "resources_2"
