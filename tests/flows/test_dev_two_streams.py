"""`nats.global_stream`: kinds of global providers are recorded in a stream of their own, and the
API behaves the same."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import aclosing
from itertools import count

import asyncpg
import pytest

from secaplane.cli.config import read
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.kinds import KINDS
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING
from tests.flows.client import READS, VOLUME, Answer, Client, at
from tests.flows.dev_plane import DevProcess, configured
from tests.flows.rebuilding import said
from tests.flows.replaying import started
from tests.opened_log import opened_log
from tests.servers import STREAM, connected

GLOBAL = "SECA-GLOBAL"
SETTINGS = f"""
[nats]
global_stream = "{GLOBAL}"
"""
READER = "reader@example.org"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    """A control plane with two streams."""
    with configured(tmp_path_factory.mktemp("two-streams"), SETTINGS) as started:
        yield started


async def test_the_walk_of_a_user(client: Client, plane: DevProcess, workspace: str) -> None:
    path, disk = at("workspace", workspace), at("block-storage", "disk", workspace=workspace)
    created = await client.put(path, {"spec": {}})
    assert created.status == 201
    assert STREAM in streams_of(created)
    await client.active(path)
    await client.made(disk, VOLUME)
    await client.active(disk)
    grown = await client.put(disk, VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": 20}})
    assert (grown.status, (await client.get(disk)).json["spec"]["sizeGB"]) == (200, 20)
    await grants_are_recorded_in_the_global_stream(client, plane, disk)
    assert (await client.delete(path)).status == 409
    for each in (disk, path):
        assert (await client.delete(each)).status == 202
        await client.gone(each)


async def grants_are_recorded_in_the_global_stream(
    client: Client, plane: DevProcess, path: str
) -> None:
    """A role assignment takes effect for its callers, and its removal as well."""
    reader = client.by(plane.token(READER))
    assert (await reader.get(path)).status == 403
    assignment = at("role-assignment", "readers")
    spec = {"subs": [READER], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
    created = await client.put(assignment, {"spec": spec})
    assert created.status == 201
    assert GLOBAL in streams_of(created)
    await reader.until(path, lambda answer: answer.status == 200)
    assert (await client.delete(assignment)).status == 202
    await reader.until(path, lambda answer: answer.status == 403)
    await client.gone(assignment)


def streams_of(answer: Answer) -> set[str]:
    """The streams of the position: of the resource, and of what was appended with it."""
    positions = answer.headers["Secaplane-Position"].split(",")
    return {each.rpartition(":")[0] for each in positions}


async def test_a_read_waits_for_positions_of_both_streams(client: Client, workspace: str) -> None:
    path, role = at("workspace", workspace), at("role", f"role-{workspace}")
    positions = [
        (await client.put(path, {"spec": {}})).headers["Secaplane-Position"],
        (await client.put(role, {"spec": READS})).headers["Secaplane-Position"],
    ]
    for at_least in positions:
        assert (await client.get(path, Secaplane_At_Least=at_least)).status == 200
        assert (await client.get(role, Secaplane_At_Least=at_least)).status == 200


async def test_each_stream_holds_the_kinds_of_its_providers(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    await client.made(at("workspace", workspace), {})
    async with connected(plane.details.nats) as nats:
        log = opened_log(read(plane.folder / "config.json"), nats)
        kinds = {stream: await kinds_in(log, stream) for stream in (STREAM, GLOBAL)}
    assert {"workspace", "storage-sku"} <= kinds[STREAM]
    assert {"tenant", "role-assignment"} <= kinds[GLOBAL]
    for kind in kinds[STREAM]:
        assert KINDS[kind].provider.regional
    for kind in kinds[GLOBAL]:
        assert not KINDS[kind].provider.regional


async def kinds_in(log: JetStreamLog, stream: str) -> set[str]:
    end, kinds = await log.end(stream), set[str]()
    async with aclosing(log.follow(stream, after=BEGINNING)) as batches:
        async for batch in batches:
            for each in batch:
                assert isinstance(each, RecordedEvent), each
                kinds.add(each.ref.kind)
                if each.position == end:
                    return kinds
    raise AssertionError("the stream ended before its last event")


async def test_a_check_compares_the_rows_of_both_streams_at_a_position_in_each(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    """While callers write to both; then a row of either stream is changed by hand."""
    path, role = at("workspace", workspace), at("role", f"checked-{workspace}")
    await client.made(path, {"spec": {}})
    assert (await client.put(role, {"spec": READS})).status == 201
    writing = asyncio.create_task(written_without_end(client, path, role))
    try:
        status, lines = await checked(plane)
    finally:
        writing.cancel()
    assert status == 0, lines
    totals = [line for line in lines if line.startswith("replica main: ")]
    of_log = [line for line in totals if "activity_1" not in line]  # that is of the audit stream
    assert (len(totals), len(of_log)) == (3, 2)
    for line in of_log:
        assert re.search(rf" at {STREAM}:\d+,{GLOBAL}:\d+: ", line), line
    connection = await asyncpg.connect(plane.details.postgres)
    try:
        for damage in (
            f"delete from history_1.history where stream = '{GLOBAL}' and position = 1",
            f"delete from history_1.history where stream = '{STREAM}' and position = 1",
        ):
            assert await connection.execute(damage) == "DELETE 1"
    finally:
        await connection.close()
    status, lines = await checked(plane)
    assert status == 1
    for stream in (GLOBAL, STREAM):
        named = f"history.history stream={stream} position=1: missing"
        assert [line for line in lines if line.startswith(named)], lines


async def written_without_end(client: Client, path: str, role: str) -> None:
    for number in count():
        assert (await client.put(path, {"labels": {"n": str(number)}, "spec": {}})).status == 200
        assert (await client.put(role, {"spec": READS})).status == 200


async def checked(plane: DevProcess) -> tuple[int, list[str]]:
    """Status and lines of `secaplane replay --check`."""
    environment = {
        "SECAPLANE_NATS_URL": plane.details.nats,
        "SECAPLANE_POSTGRES_URL": plane.details.postgres,
    }
    settings = ("--config", str(plane.folder / "config.json"))
    return await said(await started("--check", *settings, environment=environment))
