"""One event cannot stop the house; a missing one does."""

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
from secaplane.eventlog import codec
from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import ALL_SUBJECTS, subject
from secaplane.kinds import KINDS
from secaplane.model.events import RECONCILER, AnyEvent, Created, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, State
from secaplane.projector.retry import retry
from secaplane.projector.run import Projector
from secaplane.readmodel.schema import tables
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import Scene, scene_of, until
from tests.flows.read_models import Silent, projector, rows
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.positions import nth
from tests.servers import STREAM
from tests.stand import kept

GARBAGE = b'{"v":1,"type":"created"\xff'
AMENDED: Json = VOLUME["spec"] | {"sizeGB": 30}
SICK = {"garbled", "unborn", "amended"}


def disk(name: str) -> Ref:
    return KINDS["block-storage"].ref({"tenant": "demo", "workspace": "sick"}, name)


def url(name: str) -> str:
    return at("block-storage", name, workspace="sick")


# --- a whole house


async def test_what_cannot_be_read_or_applied_is_set_aside_and_healed_by_whoever_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with kept(Config()) as stand:
        async with scene_of(stand) as scene:
            await scene.client.made(at("workspace", "sick"), {"spec": {}})
            for name in ("garbled", "amended"):
                await scene.client.made(url(name), VOLUME)
            await scene.at_rest()
            await fall_ill(scene)
            await others_go_on(scene)
            await what_follows_is_left_alone(scene)
            still = await taken_again(scene)
            assert {ref.name for ref in still} == SICK
            assert "amended" in still[disk("amended")]
            await only_the_sick_answer_an_error(scene, SICK)
            monkeypatch.setitem(codec._bodies, "amended", codec._bodies["updated"])
            still = await taken_again(scene)
            assert {ref.name for ref in still} == SICK - {"amended"}
            await is_well_again(scene)


async def fall_ill(scene: Scene) -> None:
    """Three ways: no event at all, one that nothing went before, one of a later release."""
    await garble(scene.log, disk("garbled"), GARBAGE)
    await say(scene, "unborn", Updated(spec=VOLUME["spec"]))
    later = encode(await written(scene, "amended", Updated(spec=AMENDED)), STREAM)
    later = later.replace(b'"type":"updated"', b'"type":"amended"')
    await garble(scene.log, disk("amended"), later)


async def garble(log: JetStreamLog, ref: Ref, data: bytes) -> None:
    await log._nats.request(subject(ref, REGION), data)


async def written(scene: Scene, name: str, event: AnyEvent) -> NewEvent:
    """As the house would write it, in the life that this name has now."""
    async with scene.pool() as pool:
        uid = await pool.fetchval("select uid from resources where name = $1", name)
    return replace(new_event(disk(name), event), uid=uid or "u", actor=RECONCILER)


async def say(scene: Scene, name: str, event: AnyEvent) -> Position:
    last = await scene.log.last(disk(name))
    return (
        await scene.log.append(
            msgspec.structs.replace(await written(scene, name, event), previous=last)
        )
    ).position


async def others_go_on(scene: Scene) -> None:
    await scene.client.made(url("fine"), VOLUME)
    await only_the_sick_answer_an_error(scene, SICK)
    await until(lambda: remarked(scene, len(SICK)), "readiness names the quarantine")


async def remarked(scene: Scene, number: int) -> bool:
    """By the projector, to whoever runs the house; it is ready all the same."""
    port = scene.stand.house.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert (answer.status, answer.json["ready"], answer.json["reasons"]) == (200, True, [])
    return bool(answer.json["remarks"] == [f"{number} addresses are in quarantine"])


async def only_the_sick_answer_an_error(scene: Scene, sick: set[str]) -> None:
    for name in (*SICK, "fine"):
        answer = await scene.client.get(url(name))
        assert answer.status == (500 if name in sick else 200), name
        if name in sick:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["status"] == 500
            assert name not in answer.json["detail"]


async def what_follows_is_left_alone(scene: Scene) -> None:
    async with scene.pool() as pool:
        before = await history_of(pool)
        await say(scene, "garbled", Updated(spec=AMENDED))
        await say(scene, "unborn", Created(spec=VOLUME["spec"]))
        seen = await scene.log.last(disk("amended"))
        await say(
            scene,
            "amended",
            StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 30}),
        )
        await scene.client.made(url("fine"), VOLUME)
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        assert await history_of(pool) == before
    await only_the_sick_answer_an_error(scene, SICK)


async def history_of(pool: Pool) -> list[int]:
    """Positions of the rows of those that fell ill."""
    sick = [disk(name).path for name in SICK]
    found = await pool.fetch("select position from history where path = any($1) order by 1", sick)
    return [row[0] for row in found]


async def reached(scene: Scene, pool: Pool) -> bool:
    return bool(
        await pool.fetchval("select min(position) from checkpoints")
        == (await scene.log.end(STREAM)).sequence
    )


async def taken_again(scene: Scene) -> dict[Ref, str]:
    async with scene.pool() as pool:
        return await retry(pool, scene.log, region=REGION)


async def is_well_again(scene: Scene) -> None:
    """Its rows are whole, and the running projector goes on with it."""
    shown = await scene.client.get(url("amended"))
    assert (shown.status, shown.state) == (200, "active")
    assert shown.json["spec"]["sizeGB"] == 30
    seen = await scene.log.last(disk("amended"))
    report = StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 31})
    last = await say(scene, "amended", report)
    async with scene.pool() as pool:
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        whole = [each.position for each in await scene.log.read(disk("amended"))]
        path = disk("amended").path
        found = await pool.fetch("select position from history where path = $1 order by 1", path)
        assert [row[0] for row in found] == whole
        row = await pool.fetchrow(
            "select position, quarantined from resources where path = $1", path
        )
        assert tuple(row or ()) == (last, False)
        left = await pool.fetch("select path from quarantine order by path")
        assert [row["path"] for row in left] == [disk(name).path for name in ("garbled", "unborn")]
    await only_the_sick_answer_an_error(scene, SICK - {"amended"})
    await until(lambda: remarked(scene, len(SICK) - 1), "readiness names who is left")


# --- a projector alone


@dataclass
class World:
    log: JetStreamLog
    nats: Nats
    pool: Pool

    async def made(self, **more: Any) -> None:
        """The stream, as the house makes it but for what a test wants otherwise: one from which
        things can be taken away."""
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

    async def took_out(self, position: int) -> None:
        question = msgspec.json.encode({"seq": position})
        await self.nats.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", question)

    async def events(self, count: int) -> None:
        for n in range(count):
            ref = KINDS["block-storage"].ref(IDS, f"v{n}")
            await self.log.append(new_event(ref, Created(spec=SMALL), previous=BEGINNING))


@pytest.fixture
async def world(nats_client: Nats, fresh_stream: str, database_url: str) -> AsyncIterator[World]:
    pool = await tables.open_pool(database_url)
    yield World(
        JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION), nats_client, pool
    )
    await pool.close()


async def test_only_what_is_sick_in_a_batch_is_set_aside(world: World) -> None:
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
    made = projector(world.pool, world.log)
    await made.begin()
    async with asyncio.timeout(10):
        async for batch in world.log.follow(STREAM, after=BEGINNING):
            await made.project(batch)
            if made.position == nth(14):
                break
    found = await rows(world.pool)
    assert [row["position"] for row in found["quarantine"]] == [7, 10, 13, 6, 9, 12]
    assert [row["position"] for row in found["history"]] == [1, 2, 3, 4, 5, 8, 11, 14]
    assert {row["name"] for row in found["resources"] if row["quarantined"]} == {"v0", "v1", "v2"}
    assert {row["position"] for row in found["checkpoints"]} == {14}


class Watched(Projector):
    """Remembers what it said of its trouble."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "trouble":
            self.__dict__.setdefault("said", []).append(value)
        super().__setattr__(name, value)

    @property
    def said(self) -> list[str]:
        said: list[str] = self.__dict__["said"]
        return said


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Watched]:
    made = Watched(
        pool=world.pool, events=world.log, announcer=Silent(), stream=STREAM, region=REGION
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        yield made
        task.cancel()


async def stays_red(made: Watched, why: str) -> None:
    """It looks again and again, and is never well in between."""

    async def often() -> bool:
        return sum(why in each for each in made.said) >= 3

    await until(often, f"it says again and again: {why}")
    first = next(n for n, each in enumerate(made.said) if why in each)
    assert all(why in each for each in made.said[first:])


@pytest.mark.parametrize("lost", [1, 4])
async def test_a_missing_position_stops_the_projector(world: World, lost: int) -> None:
    await world.made()
    await world.events(6)
    await world.took_out(lost)
    async with running(world) as made:
        await stays_red(made, f"position {lost} is missing; the log went on at {lost + 1}")
    assert await world.pool.fetchval("select min(position) from checkpoints") < lost
    assert await world.pool.fetchval("select coalesce(max(position), 0) from history") < lost


async def test_a_checkpoint_before_the_first_event_stops_the_projector(world: World) -> None:
    await world.made(first_seq=5)
    await world.events(2)
    async with running(world) as made:
        await stays_red(made, "position 1 is missing; the log went on at 5")
    assert await world.pool.fetchval("select max(position) from checkpoints") == 0


async def test_rows_that_know_more_than_the_log_stop_the_projector(world: World) -> None:
    await world.made()
    await world.events(3)
    for name in ("resources", "history"):
        await world.pool.execute("insert into checkpoints values ($1, $2, 4)", name, STREAM)
    async with running(world) as made:
        await stays_red(made, "the log ends at 3, and the rows are at 4; rebuild them")
    assert not made.started.is_set()
    assert await world.pool.fetchval("select count(*) from history") == 0
