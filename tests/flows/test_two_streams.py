"""Two streams: one of global kinds (tenants, authorization), and one of regional kinds. Every
projection group has a projector and a checkpoint for each."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from asyncpg import Pool
from msgspec.structs import replace
from nats.aio.client import Client as Nats

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.settings import NatsSettings
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import subject
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Updated
from secaplane.model.position import Position, position
from secaplane.model.shape import Json, Ref
from secaplane.projector.rebuild import ReadModelBusy, first, rebuild
from secaplane.readmodel import questions
from secaplane.readmodel.questions.usage import UsageQueries
from secaplane.readmodel.schema.active import find
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import UNSETTLED, Scene, scene_of, until, whole
from tests.flows.read_models import GROUPS, assert_same, read_models
from tests.flows.rebuilding import said, started
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, NOON, REGION, new_event
from tests.plane import RunningPlane, shared_plane
from tests.servers import GLOBAL_STREAM, STREAM

STREAMS = Streams(STREAM, GLOBAL_STREAM)
ROLE: Json = {
    "spec": {"permissions": [{"provider": "seca.storage", "resources": ["*"], "verb": ["get"]}]}
}
GARBAGE = b"no event"
PROCESSES, STAGGER_S = 40, 0.01


# --- a whole control plane


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    with shared_plane(Config(nats=NatsSettings(global_stream=GLOBAL_STREAM))) as made:
        yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        yield made


async def test_reads_rebuild_and_quarantine_work_on_two_streams(scene: Scene) -> None:
    client = scene.client
    role = await client.put(at("role", "reader"), ROLE)
    workspace = await client.put(at("workspace", "two"), {"spec": {}})
    disk = at("block-storage", "disk", workspace="two")
    await client.made(disk, VOLUME)
    assert role.headers["Secaplane-Position"].startswith(f"{GLOBAL_STREAM}:")
    assert workspace.headers["Secaplane-Position"].startswith(f"{STREAM}:")
    both = f"{role.headers['Secaplane-Position']},{workspace.headers['Secaplane-Position']}"
    for path in (at("role", "reader"), disk):
        assert (await client.get(path, Secaplane_At_Least=both)).status == 200
    await at_rest(scene)
    await rows_name_their_stream(scene)
    await rebuilt_rows_are_the_same(scene)
    await damage_in_one_stream_stops_neither(scene)


async def at_rest(scene: Scene, number: int = 1) -> None:
    """Wait until the rows of both groups have reached the ends of both streams."""

    async def quiet() -> bool:
        ends = {name: (await scene.log.end(name)).sequence for name in STREAMS.names}
        async with read_models(scene.plane.dev.postgres(OWNER), number) as models:
            reached = [await checkpoints(pool) for pool in models.pools.values()]
            return reached == [ends, ends] and not await models.resources.fetchval(UNSETTLED)

    await until(quiet, "everything is at rest")


async def checkpoints(pool: Pool) -> dict[str, int]:
    return {name: each.sequence for name, each in (await questions.checkpoints(pool)).items()}


async def rows_name_their_stream(scene: Scene) -> None:
    async with scene.pool() as pool:
        kinds = await pool.fetch("select distinct kind, stream from resources")
        history = await pool.fetch("select stream, position from history order by 1, 2")
    found = {row["kind"]: row["stream"] for row in kinds}
    assert found.items() >= {
        ("tenant", GLOBAL_STREAM),
        ("role", GLOBAL_STREAM),
        ("role-assignment", GLOBAL_STREAM),
        ("workspace", STREAM),
        ("block-storage", STREAM),
        ("storage-sku", STREAM),
    }
    events = [each.position for name in STREAMS.names for each in await whole(scene.log, name)]
    assert [position(*row) for row in history] == events


async def rebuilt_rows_are_the_same(scene: Scene) -> None:
    status, lines = await said(await started(scene.plane, "rebuild"))
    assert (status, len(lines)) == (0, 3), lines  # the last one of the audit stream
    for group, line in zip(GROUPS, lines[:2], strict=True):
        pattern = (
            rf"replica main: {group.name}_2 reached {STREAM}:\d+,{GLOBAL_STREAM}:\d+ in \d+\.\d s"
        )
        assert re.fullmatch(pattern, line)
    await at_rest(scene)
    await at_rest(scene, 2)
    url = scene.plane.dev.postgres(OWNER)
    async with read_models(url, 1) as former, read_models(url, 2) as rebuilt:
        assert_same(await former.rows(), await rebuilt.rows())


async def damage_in_one_stream_stops_neither(scene: Scene) -> None:
    ref = KINDS["role"].ref({"tenant": "demo"}, "reader")
    await scene.log._nats.request(subject(ref, REGION), GARBAGE)
    for path, body in (
        (at("role", "writer"), ROLE),
        (at("block-storage", "other", workspace="two"), VOLUME),
    ):
        await scene.client.put(path, body)
    await at_rest(scene, 2)
    damaged = await scene.client.get(at("role", "reader"))
    assert (damaged.status, damaged.json["status"]) == (500, 500)
    for path in (at("role", "writer"), at("block-storage", "other", workspace="two")):
        assert (await scene.client.get(path)).status == 200
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert answer.json["remarks"] == ["1 resources are in quarantine"]
    async with read_models(scene.plane.dev.postgres(OWNER), 2) as models:
        for pool in models.pools.values():
            row = await pool.fetchrow("select kind, path, stream from quarantine")
            assert tuple(row or ()) == (ref.kind, ref.path, GLOBAL_STREAM)


# --- projectors alone

TENANT = KINDS["tenant"].ref({}, "acme")
DISK = KINDS["block-storage"].ref(IDS, "disk")


@pytest.fixture
async def log(nats_client: Nats, fresh_stream: str) -> JetStreamLog:
    made = JetStreamLog(nats_client, streams=STREAMS, region=REGION)
    await made.prepare()
    return made


async def append(log: JetStreamLog, ref: Ref, event: Created | Updated, second: int) -> Position:
    new = replace(
        new_event(ref, event, previous=await log.last(ref)), time=NOON.replace(second=second)
    )
    return (await log.append(new)).position


async def test_a_quota_is_the_one_of_the_time_of_the_change(
    log: JetStreamLog, database_url: str
) -> None:
    """The tenant's stream and the volume's have no common order; their times have."""
    await append(log, TENANT, Created(spec={"quotas": {"volumeGB": 10}}), 1)
    before = await append(log, DISK, Created(spec=SMALL), 2)
    await append(log, TENANT, Updated(spec={"quotas": {"volumeGB": 30}}), 3)
    after = await append(log, DISK, Updated(spec=SMALL | {"sizeGB": 20}), 4)
    await append(log, TENANT, Updated(spec={"quotas": {"volumeGB": 50}}), 5)
    async with read_models(database_url) as models:
        for each in models.projectors(log):
            await each.begin()
            await each.project(await whole(log, each.stream.name))
        usage = UsageQueries(models.resources)
        for change, limit in ((before, 10), (after, 30)):
            specs = await usage.specs([TENANT], change)
            assert specs == {TENANT: {"quotas": {"volumeGB": limit}}}
        assert await checkpoints(models.resources) == {STREAM: 2, GLOBAL_STREAM: 3}


async def test_a_stream_without_events_is_rebuilt_too(log: JetStreamLog, database_url: str) -> None:
    """The first read models, filled while one stream is empty, and again when it is not."""
    await append(log, DISK, Created(spec=SMALL), 1)
    for group in GROUPS:
        made = await first(database_url, log, group, region=REGION)
        assert made is not None
        assert made.reached == [position(STREAM, 1)]
        assert await first(database_url, log, group, region=REGION) is None
    await append(log, TENANT, Created(spec={}), 2)
    for group in GROUPS:
        made = await rebuild(database_url, log, group, region=REGION)
        assert made.reached == [position(STREAM, 1), position(GLOBAL_STREAM, 1)]
        assert await find(database_url, group.tables) == made.read_model


async def test_processes_that_start_at_once_fill_one_first_read_model(
    log: JetStreamLog, database_url: str
) -> None:
    """Each of them asks whether there is one while another is just finishing it."""
    await append(log, DISK, Created(spec=SMALL), 1)
    group, filled = GROUPS[0], list[str]()

    async def starts(after_s: float) -> None:
        await asyncio.sleep(after_s)
        with suppress(ReadModelBusy):
            if made := await first(database_url, log, group, region=REGION):
                filled.append(made.read_model)

    async with asyncio.TaskGroup() as processes:
        for number in range(PROCESSES):
            processes.create_task(starts(number * STAGGER_S))
    assert filled == [await find(database_url, group.tables)]
