"""Preconditions over HTTP: the ETag of a GET is what a PUT, a DELETE or an action can require."""

import asyncio

import pytest

from tests.flows.client import INSTANCE, VOLUME, Client, at


@pytest.fixture
async def volume(client: Client, workspace: str) -> str:
    await client.made(at("workspace", workspace), {})
    path = at("block-storage", "disk", workspace=workspace)
    await client.made(path, VOLUME)
    return path


async def test_a_write_requires_the_version_that_was_read(client: Client, volume: str) -> None:
    read = (await client.get(volume)).headers["ETag"]
    for wrong in ('"wrong"', f"W/{read}", "wrong", "", read.replace("1-", "2-")):
        refused = await client.delete(volume, If_Match=wrong)
        assert (refused.status, refused.json["sources"]) == (
            412,
            [{"pointer": "", "parameter": "If-Match"}],
        ), wrong
    assert (await client.get(volume)).headers["ETag"] == read
    assert (await client.put(volume, VOLUME, If_Match=f'"other", {read}')).status == 200
    assert (await client.put(volume, VOLUME, If_Match=read)).status == 412
    newer = (await client.active(volume)).headers["ETag"]
    assert newer.startswith('"2-')
    assert (await client.put(volume, VOLUME, If_None_Match=newer)).status == 412
    assert (await client.put(volume, VOLUME, If_None_Match="*")).status == 412
    assert (await client.delete(volume, If_Match=newer, if_unmodified_since="1")).status == 412
    assert (await client.delete(volume, If_Match=newer, if_unmodified_since="2")).status == 202
    await client.gone(volume)
    assert (await client.delete(volume, If_Match=newer)).status == 404
    assert (await client.put(volume, VOLUME, If_Match="*")).status == 412
    assert (await client.put(volume, VOLUME, If_None_Match="*")).status == 201


async def test_an_action_requires_the_version_that_was_read(
    client: Client, volume: str, workspace: str
) -> None:
    instance = at("instance", "one", workspace=workspace)
    read = (await client.made(instance, INSTANCE)).headers["ETag"]
    assert (await client.post(f"{instance}/start", If_Match='"wrong"')).status == 412
    assert (await client.post(f"{instance}/start", If_Match=read)).status == 202
    assert (await client.post(f"{instance}/stop", If_Match=read)).status == 412


async def test_of_concurrent_writers_that_read_one_version_one_succeeds(
    client: Client, volume: str
) -> None:
    read = (await client.get(volume)).headers["ETag"]
    answers = await asyncio.gather(
        *(client.put(volume, VOLUME, If_Match=read) for _ in range(8)),
        *(client.put(f"{volume}-new", VOLUME, If_None_Match="*") for _ in range(8)),
    )
    statuses = [answer.status for answer in answers]
    assert sorted(statuses[:8]) == [200] + [412] * 7
    assert sorted(statuses[8:]) == [201] + [412] * 7
