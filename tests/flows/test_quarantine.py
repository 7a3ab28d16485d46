"""One damaged event cannot stop a projector; a missing event or a schema defect does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from asyncpg import Pool
from msgspec.structs import replace
from nats.aio.client import Client as Nats

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import OWNER
from secaplane.eventlog import codec
from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import ALL_SUBJECTS, subject
from secaplane.kinds import KINDS
from secaplane.model.events import RECONCILER, AnyEvent, Created, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, State
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.retry import retry
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import CHECKPOINT, Scene, scene_of, until
from tests.flows.read_models import GROUPS, ReadModels, Silent, read_models
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.plane import shared_plane
from tests.positions import nth
from tests.servers import STREAM

GARBAGE = b'{"v":1,"type":"created"\xff'
AMENDED: Json = VOLUME["spec"] | {"sizeGB": 30}
DAMAGED = {"garbled", "unborn", "amended"}


def disk(name: str) -> Ref:
    return KINDS["block-storage"].ref({"tenant": "demo", "workspace": "damaged"}, name)


def url(name: str) -> str:
    return at("block-storage", name, workspace="damaged")


# --- a whole control plane


async def test_damaged_resources_are_quarantined_until_a_release_can_apply_their_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with shared_plane(Config()) as own_plane:
        async with scene_of(own_plane) as scene:
            await scene.client.made(at("workspace", "damaged"), {"spec": {}})
            for name in ("garbled", "amended"):
                await scene.client.made(url(name), VOLUME)
            await scene.at_rest()
            await damage(scene)
            await others_go_on(scene)
            await later_events_are_left_out(scene)
            failed = await retried(scene)
            assert {ref.name for ref in failed} == DAMAGED
            assert "amended" in failed[disk("amended")]
            await only_damaged_resources_answer_an_error(scene, DAMAGED)
            monkeypatch.setitem(codec._bodies, "amended", codec._bodies["updated"])
            failed = await retried(scene)
            assert {ref.name for ref in failed} == DAMAGED - {"amended"}
            await is_repaired(scene)


async def damage(scene: Scene) -> None:
    """Three ways: no event at all, an update without a creation, an event of a later release."""
    await garble(scene.log, disk("garbled"), GARBAGE)
    await append(scene, "unborn", Updated(spec=VOLUME["spec"]))
    later = encode(await written(scene, "amended", Updated(spec=AMENDED)), STREAM)
    later = later.replace(b'"type":"updated"', b'"type":"amended"')
    await garble(scene.log, disk("amended"), later)


async def garble(log: JetStreamLog, ref: Ref, data: bytes) -> None:
    await log._nats.request(subject(ref, REGION), data)


async def written(scene: Scene, name: str, event: AnyEvent) -> NewEvent:
    """An event as the control plane would write it, in the present life of this name."""
    async with scene.pool() as pool:
        uid = await pool.fetchval("select uid from resources where name = $1", name)
    return replace(new_event(disk(name), event), uid=uid or "u", actor=RECONCILER)


async def append(scene: Scene, name: str, event: AnyEvent) -> Position:
    last = await scene.log.last(disk(name))
    return (
        await scene.log.append(
            msgspec.structs.replace(await written(scene, name, event), previous=last)
        )
    ).position


async def others_go_on(scene: Scene) -> None:
    await scene.client.made(url("fine"), VOLUME)
    await only_damaged_resources_answer_an_error(scene, DAMAGED)
    await until(lambda: remarked(scene, len(DAMAGED)), "readiness names the quarantine")


async def remarked(scene: Scene, number: int) -> bool:
    """The projector names the number of quarantined resources; it is ready all the same."""
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert (answer.status, answer.json["ready"], answer.json["reasons"]) == (200, True, [])
    return bool(answer.json["remarks"] == [f"{number} resources are in quarantine"])


async def only_damaged_resources_answer_an_error(scene: Scene, damaged: set[str]) -> None:
    for name in (*DAMAGED, "fine"):
        answer = await scene.client.get(url(name))
        assert answer.status == (500 if name in damaged else 200), name
        if name in damaged:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["status"] == 500
            assert name not in answer.json["detail"]
            assert "decoded or applied" in answer.json["detail"]


async def later_events_are_left_out(scene: Scene) -> None:
    async with scene.pool() as pool:
        before = await history_of(pool)
        await append(scene, "garbled", Updated(spec=AMENDED))
        await append(scene, "unborn", Created(spec=VOLUME["spec"]))
        seen = await scene.log.last(disk("amended"))
        await append(
            scene,
            "amended",
            StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 30}),
        )
        await scene.client.made(url("fine"), VOLUME)
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        assert await history_of(pool) == before
    await only_damaged_resources_answer_an_error(scene, DAMAGED)


async def history_of(pool: Pool) -> list[int]:
    """The positions of the damaged resources' rows."""
    paths = [disk(name).path for name in DAMAGED]
    found = await pool.fetch("select position from history where path = any($1) order by 1", paths)
    return [row[0] for row in found]


async def reached(scene: Scene, pool: Pool) -> bool:
    return bool(await pool.fetchval(CHECKPOINT) == (await scene.log.end(STREAM)).sequence)


async def retried(scene: Scene) -> dict[Ref, str]:
    """`secaplane retry`; every group fails at the same resources."""
    async with read_models(scene.plane.dev.postgres(OWNER)) as models:
        resources, history = [
            await retry(models.pools[group.name], scene.log, group, region=REGION)
            for group in GROUPS
        ]
    assert resources == history
    return resources


async def is_repaired(scene: Scene) -> None:
    """The rows are whole, and the running projector goes on with them."""
    shown = await scene.client.get(url("amended"))
    assert (shown.status, shown.state) == (200, "active")
    assert shown.json["spec"]["sizeGB"] == 30
    seen = await scene.log.last(disk("amended"))
    report = StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 31})
    last = await append(scene, "amended", report)
    async with scene.pool() as pool:
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        whole = [each.position.sequence for each in await scene.log.read(disk("amended"))]
        path = disk("amended").path
        found = await pool.fetch("select position from history where path = $1 order by 1", path)
        assert [row[0] for row in found] == whole
        row = await pool.fetchrow("select position from resources where path = $1", path)
        assert tuple(row or ()) == (last.sequence,)
        left = await pool.fetch("select path from quarantine order by path")
        assert [row["path"] for row in left] == [disk(name).path for name in ("garbled", "unborn")]
    await only_damaged_resources_answer_an_error(scene, DAMAGED - {"amended"})
    await until(lambda: remarked(scene, len(DAMAGED) - 1), "readiness names those that are left")


# --- a projector alone


@dataclass
class World:
    log: JetStreamLog
    nats: Nats
    models: ReadModels

    async def made(self, **more: Any) -> None:
        """Create the stream as the product does, but so that messages can be deleted."""
        config = {
            "name": STREAM,
            "subjects": [ALL_SUBJECTS],
            "storage": "file",
            "allow_direct": True,
        }
        answer = await self.nats.request(
            f"$JS.API.STREAM.CREATE.{STREAM}", msgspec.json.encode(config | more)
        )
        assert b"error" not in answer.data, answer.data

    async def lose(self, position: int) -> None:
        question = msgspec.json.encode({"seq": position})
        await self.nats.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", question)

    async def events(self, count: int) -> None:
        for n in range(count):
            ref = KINDS["block-storage"].ref(IDS, f"v{n}")
            await self.log.append(new_event(ref, Created(spec=SMALL), previous=BEGINNING))


@pytest.fixture
async def world(nats_client: Nats, fresh_stream: str, database_url: str) -> AsyncIterator[World]:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    async with read_models(database_url) as models:
        yield World(log, nats_client, models)


async def test_only_the_damaged_events_of_a_batch_are_quarantined(world: World) -> None:
    await world.made()
    unborn = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(3)]
    await world.events(5)
    for n, ref in enumerate(unborn):
        await world.log.append(new_event(ref, Updated(spec={}), previous=BEGINNING))
        await garble(world.log, KINDS["block-storage"].ref(IDS, f"v{n}"), GARBAGE)
        await world.log.append(
            new_event(
                KINDS["block-storage"].ref(IDS, f"v{n + 2}"),
                Updated(spec=SMALL),
                previous=nth(n + 3),
            )
        )
    for made in world.models.projectors(world.log):
        await made.begin()
        async with asyncio.timeout(10):
            async for batch in world.log.follow(STREAM, after=BEGINNING):
                await made.project(batch)
                if made.position == nth(14):
                    break
    found = await world.models.rows()
    for group in GROUPS:
        quarantined = found[f"{group.name}.quarantine"]
        assert [row["position"] for row in quarantined] == [7, 10, 13, 6, 9, 12]
        assert [row["position"] for row in found[f"{group.name}.checkpoints"]] == [14]
    assert [row["position"] for row in found["history"]] == [1, 2, 3, 4, 5, 8, 11, 14]


class Watched(Projector):
    """Remembers the reasons that it gave."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "reason":
            self.__dict__.setdefault("reasons", []).append(value)
        super().__setattr__(name, value)

    @property
    def reasons(self) -> list[str]:
        reasons: list[str] = self.__dict__["reasons"]
        return reasons


@asynccontextmanager
async def running(world: World, group: ProjectionGroup = RESOURCES) -> AsyncIterator[Watched]:
    pool, stream = world.models.pools[group.name], SharedStream(world.log, STREAM)
    made = Watched(group, pool, stream, Silent(), REGION)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.run())
        yield made
        task.cancel()


async def stays_stopped(made: Watched, why: str) -> None:
    """The projector retries, and keeps its reason in between."""

    async def tried() -> bool:
        return sum(why in each for each in made.reasons) >= 3

    await until(tried, f"it gives its reason again and again: {why}")
    first = next(n for n, each in enumerate(made.reasons) if why in each)
    assert all(why in each for each in made.reasons[first:])


each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@each_group
@pytest.mark.parametrize("lost", [1, 4])
async def test_a_missing_position_stops_the_projector(
    world: World, group: ProjectionGroup, lost: int
) -> None:
    await world.made()
    await world.events(6)
    await world.lose(lost)
    async with running(world, group) as made:
        reason = f"sequence {lost} is missing; the log went on at {nth(lost + 1)}"
        await stays_stopped(made, reason)
    pool = world.models.pools[group.name]
    assert await pool.fetchval("select min(position) from checkpoints") < lost
    last = f"select coalesce(max(position), 0) from {group.name}"
    assert await pool.fetchval(last) < lost


async def test_a_checkpoint_before_the_first_event_stops_the_projector(world: World) -> None:
    await world.made(first_seq=5)
    await world.events(2)
    async with running(world) as made:
        await stays_stopped(made, f"sequence 1 is missing; the log went on at {nth(5)}")
    assert await world.models.resources.fetchval("select max(position) from checkpoints") == 0


async def test_rows_that_are_ahead_of_the_log_stop_the_projector(world: World) -> None:
    await world.made()
    await world.events(3)
    pool = world.models.resources
    await pool.execute("insert into checkpoints values ($1, 4)", STREAM)
    async with running(world) as made:
        reason = f"the log ends at {nth(3)}, and the rows are at {nth(4)}; rebuild them"
        await stays_stopped(made, reason)
    assert not made.started.is_set()
    assert await pool.fetchval("select count(*) from resources") == 0


# --- schema defects

COLUMN_GONE = (
    RESOURCES,
    "alter table resources rename column document to lost",
    "alter table resources rename column lost to document",
    'column "document" of relation "resources" does not exist',
)
TABLE_GONE = (
    RESOURCES,
    "alter table labels rename to lost",
    "alter table lost rename to labels",
    'relation "labels" does not exist',
)
HISTORY_COLUMN_GONE = (
    HISTORY,
    "alter table history rename column actor to lost",
    "alter table history rename column lost to actor",
    'column "actor" of relation "history" does not exist',
)


@pytest.mark.parametrize(
    ("group", "defect", "repair", "why"), [COLUMN_GONE, TABLE_GONE, HISTORY_COLUMN_GONE]
)
async def test_a_schema_defect_stops_the_projector_and_quarantines_nothing(
    world: World, group: ProjectionGroup, defect: str, repair: str, why: str
) -> None:
    await world.made()
    await world.events(3)
    pool = world.models.pools[group.name]
    async with running(world, group) as made:
        await until(lambda: at_position(made, 3), "it has projected three events")
        await pool.execute(defect)
        ref = KINDS["block-storage"].ref(IDS, "labelled")
        event = Created(spec=SMALL, labels={"env": "demo"})
        await world.log.append(new_event(ref, event, previous=BEGINNING))
        await stays_stopped(made, f"the tables of {group.name} do not fit: {why}")
        assert await pool.fetchval("select count(*) from quarantine") == 0
        await pool.execute(repair)
        await until(lambda: at_position(made, 4), "it has caught up")
        assert made.reason == ""
        assert not made.quarantined


async def at_position(made: Projector, sequence: int) -> bool:
    return made.position == nth(sequence) and not made.reason


async def test_readiness_gives_the_reason_of_a_schema_defect_and_the_other_group_goes_on(
    scene: Scene,
) -> None:
    """The projector process of a whole control plane; a role without a privilege, and repaired."""
    await scene.client.made(at("workspace", "defect"), {"spec": {}})
    await scene.at_rest()
    async with scene.pool() as pool:
        await pool.execute("alter table history_1.history rename column cause to lost")
        await scene.client.made(at("block-storage", "one", workspace="defect"), VOLUME)
        why = (
            'the tables of history do not fit: column "cause" of relation "history" does not exist'
        )
        await until(lambda: gives(scene, [why]), "readiness gives the reason")
        await scene.client.made(at("block-storage", "two", workspace="defect"), VOLUME)
        await pool.execute("alter table history_1.history rename column lost to cause")
        await until(lambda: gives(scene, []), "readiness gives no reason")
        await scene.at_rest()
        for group in ("resources_1", "history_1"):
            assert await pool.fetchval(f"select count(*) from {group}.quarantine") == 0
        positions = await pool.fetch("select position from history order by 1")
    events = await scene.events()
    assert [row[0] for row in positions] == [each.position.sequence for each in events]


async def gives(scene: Scene, reasons: list[str]) -> bool:
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert answer.status == (503 if answer.json["reasons"] else 200)
    return bool(answer.json["reasons"] == reasons)
