"""A secret field is shown to callers who may read it, and is stored nowhere in clear."""

import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import msgspec
from nats.aio.client import Client as Nats
from nats.js.errors import NotFoundError

from secaplane.eventlog.snapshots import SNAPSHOT_INTERVAL
from tests.flows.client import INSTANCE, JSON, VOLUME, Answer, Client, at
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.problems import refused
from tests.servers import SNAPSHOTS, STREAM, connected

SECRET = "xKq7-correct-horse-battery-staple-Zz42"
SECOND = "vTn3-another-horse-another-staple-Yy17"
SECRETS = (SECRET, SECOND)


def with_user_data(secret: object) -> dict[str, object]:
    return {"spec": INSTANCE["spec"] | {"userData": secret}}


def shown(answer: Answer) -> str:
    value: str = answer.json["spec"]["userData"]
    return value


def forms(secret: str) -> list[bytes]:
    """The secret in clear and in reversible encodings."""
    clear = secret.encode()
    return [
        clear,
        base64.b64encode(clear)[:-4],
        base64.urlsafe_b64encode(clear)[:-4],
        clear.hex().encode(),
    ]


async def test_user_data_is_shown_to_its_reader_and_stored_nowhere_in_clear(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    one = at("instance", "one", workspace=workspace)
    await client.put(at("workspace", workspace), {})
    await client.put(at("block-storage", "disk", workspace=workspace), VOLUME)
    assert shown(await client.put(one, with_user_data(SECRET))) == SECRET
    assert shown(await client.active(one)) == SECRET
    assert shown(await client.put(one, with_user_data(SECOND))) == SECOND
    for _ in range(SNAPSHOT_INTERVAL):
        await client.put(one, with_user_data(SECOND))
    await client.post(f"{one}/start")
    (item,) = (await client.get(at("instance", workspace=workspace))).json["items"]
    assert item["spec"]["userData"] == SECOND
    await client.delete(one)
    await client.gone(one)
    only = "application/json; deleted=only"
    gone = await client.get(at("instance", workspace=workspace), Accept=only)
    assert "userData" not in gone.json["items"][0]["spec"]

    assert await snapshots(plane) != []
    await assert_stored_nowhere(plane, f"workspaces/{workspace}/instances/one".encode())


async def test_a_refusal_does_not_repeat_a_secret(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    one = at("instance", "one", workspace=workspace)
    for answer, status in (
        (await client.put(one, with_user_data([SECRET])), 422),
        (await client.put(one, with_user_data(SECRET * 2000)), 422),
        (await client.put(one, with_user_data(SECRET) | {"colour": SECRET}), 422),
        (await client.put(one, with_user_data(SECRET)), 404),
        (await broken(client, one), 400),
    ):
        refused(answer, status)
        assert SECRET not in answer.body.decode()
    await assert_stored_nowhere(plane, b"")


async def broken(client: Client, path: str) -> Answer:
    data = msgspec.json.encode(with_user_data(SECRET))[:-1]
    return await client.ask("PUT", path, data=data, headers={"Content-Type": JSON})


async def assert_stored_nowhere(plane: DevProcess, marker: bytes) -> None:
    """Not in the event log, snapshots, tables, process logs or files. The marker must be found in
    events and rows, which shows that the search works."""
    async with connected(plane.details.nats) as nats:
        events = [each async for each in messages(nats, STREAM)]
    rows = [each async for each in texts(plane.details)]
    logs = [path.read_bytes() for path in plane.logs.iterdir()]
    assert any(marker in each for each in events)
    assert any(marker in each for each in rows)
    for place in (events, await snapshots(plane), rows, logs, *files(plane.folder)):
        for each in place:
            for secret in SECRETS:
                assert not any(form in each for form in forms(secret)), each[:500]


async def snapshots(plane: DevProcess) -> list[bytes]:
    async with connected(plane.details.nats) as nats:
        return [each async for each in messages(nats, SNAPSHOTS)]


async def messages(nats: Nats, stream: str) -> AsyncIterator[bytes]:
    """Every message of a stream: subject, headers and body."""
    context = nats.jetstream()
    state = (await context.stream_info(stream)).state
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        with suppress(NotFoundError):  # replaced by a newer snapshot
            message = await context.get_msg(stream, sequence)
            yield repr((message.subject, message.headers)).encode() + (message.data or b"")


async def texts(details: DevDetails) -> AsyncIterator[bytes]:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(details.postgres)
    try:
        tables = await connection.fetch(
            "select table_schema || '.' || table_name from information_schema.tables"
            " where table_schema in ('resources_1', 'history_1', 'activity_1')"
        )
        assert len(tables) >= 11
        for (table,) in tables:
            for (row,) in await connection.fetch(f"select t::text from {table} t"):
                yield row.encode()
    finally:
        await connection.close()


def files(folder: Path) -> list[list[bytes]]:
    """The contents of the files of NATS and PostgreSQL."""
    return [
        [path.read_bytes() for path in (folder / name).rglob("*") if path.is_file()]
        for name in ("nats", "postgres")
    ]
