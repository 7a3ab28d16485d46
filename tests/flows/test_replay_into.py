"""`secaplane replay --until ... --into ...`: an empty database gets the read models of then."""

import re
from datetime import UTC, datetime

import asyncpg
import pytest
from nats.aio.client import Client as Nats

from secaplane.cli.dev.embedded import OWNER
from secaplane.eventlog.codec import encode
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import subject
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.replay.replay import Replayed, replay
from secaplane.projector.replay.target import NotEmpty
from secaplane.projector.replay.until import NoSuchPosition, Positions, at_time, named
from secaplane.projector.sources import Sources
from tests.flows.client import VOLUME, at
from tests.flows.crashing import Scene, until
from tests.flows.read_models import assert_same, read_models
from tests.flows.rebuilding import said
from tests.flows.replaying import empty_database, of_plane, started
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, NOON, REGION, ROLE, new_event
from tests.positions import nth
from tests.servers import GLOBAL_STREAM, STREAM

EVENTS = 9_000
"""More than two batches."""


def disk(name: str) -> str:
    return at("block-storage", name, workspace="w")


async def test_the_rows_of_then_are_filled_from_the_log_alone(scene: Scene) -> None:
    """By position and by time; nothing is called, and the live database is refused."""
    await scene.client.made(at("workspace", "w"), {"spec": {}})
    await scene.client.made(disk("one"), VOLUME | {"labels": {"env": "demo"}})
    await scene.client.made(disk("two"), VOLUME)
    await scene.at_rest()
    server, then, time = scene.plane.dev.postgres(OWNER), await end(scene), datetime.now(UTC)
    async with read_models(server) as live:
        was = await live.rows()
    await scene.client.put(disk("one"), VOLUME | {"labels": {"env": "prod"}})
    await scene.client.delete(disk("two"))
    await scene.client.gone(disk("two"))
    await scene.at_rest()
    counts = await scene.site.counts()
    with_entries = rf"{then},SECA-audit:\d+"  # a position of the log names no entries
    for moment, reached in ((str(then), str(then)), (time.isoformat(), with_entries)):
        async with empty_database(server) as url:
            words = ("--until", moment, "--into", url)
            status, lines = await said(await of_plane(scene.plane, *words, counts_plugins=True))
            assert (status, lines[1:]) == (0, ["plugins loaded: 0"]), lines
            assert re.match(rf"replayed up to {reached}: \d+ events in ", lines[0])
            async with read_models(url) as replayed:
                assert_same(was, await replayed.rows())
            await is_no_replica(scene, url)
            status, lines = await said(await of_plane(scene.plane, *words))
            assert (status, len(lines)) == (0, 1), lines  # it is complete: nothing is written again
            assert re.match(rf"replayed up to {reached}: 0 events in ", lines[0])
    assert await scene.site.counts() == counts
    refused = await said(await of_plane(scene.plane, "--until", str(then), "--into", server))
    assert refused == (
        1,
        [
            "secaplane: the database is not empty: it holds the replica main; create another one"
            " for the replay"
        ],
    )


async def is_no_replica(scene: Scene, url: str) -> None:
    """No process adopts the database as the replica that it is configured with."""
    connection = await asyncpg.connect(url)
    name = await connection.fetchval("select name from secaplane.replica")
    await connection.close()
    assert name.startswith("replay of ")


async def end(scene: Scene) -> Position:
    return await scene.log.end(STREAM)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--until", "SECA:1"), "replay takes --until and --into, or --check"),
        (("--check", "--until", "SECA:1"), "replay takes --until and --into, or --check"),
        (("--until", "SECA:1", "--into", "disk.db"), "--into takes the URL of a database"),
        (("--until", "noon", "--into", "postgresql://h/d"), "--until takes a time such as"),
        (("--until", "2126-01-01T00:00:00Z", "--into", "postgresql://h/d"), "not past yet"),
    ],
)
async def test_wrong_arguments_are_refused(words: tuple[str, ...], reason: str) -> None:
    status, lines = await said(await started(*words, environment={}))
    assert (status, len(lines)) == (2, 1), lines
    assert reason in lines[0]


# --- killed


async def test_a_killed_replay_is_resumed_from_its_checkpoints(
    nats_client: Nats, nats_url: str, fresh_stream: str, postgres_server_url: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await publish(nats_client, fresh_stream)

    async def recorded() -> bool:
        return (await log.end(fresh_stream)).sequence == EVENTS

    await until(recorded, "the log has the events")
    environment = {"SECAPLANE_NATS_URL": nats_url, "SECAPLANE_SITE_REGION": REGION}
    async with (
        empty_database(postgres_server_url) as url,
        empty_database(postgres_server_url) as another,
    ):
        words = ("--until", f"{fresh_stream}:{EVENTS}", "--into")
        await killed_half_way(url, words, environment)
        status, lines = await said(await started(*words, url, environment=environment))
        assert status == 0, lines
        written = int(lines[-1].split(": ")[1].split()[0].replace(",", ""))
        assert 0 < written < EVENTS
        other = ("--until", f"{fresh_stream}:1", "--into", url)
        status, lines = await said(await started(*other, environment=environment))
        assert (status, "holds the replay of" in lines[-1]) == (1, True), lines
        assert (await said(await started(*words, another, environment=environment)))[0] == 0
        async with read_models(url) as resumed, read_models(another) as at_once:
            assert_same(await at_once.rows(), await resumed.rows())


async def killed_half_way(url: str, words: tuple[str, ...], environment: dict[str, str]) -> None:
    """SIGKILL, while a batch that follows the first one waits for a lock on the checkpoint."""
    process = await started(*words, url, environment=environment)
    connection = await asyncpg.connect(url)
    checkpoints = "resources_1.checkpoints"

    async def begun() -> bool:
        query = f"select position > 0 from {checkpoints}"
        return bool(await connection.fetchval(query))

    await until(begun, "the first batch is written")
    async with connection.transaction():
        reached = await connection.fetchval(f"select position from {checkpoints} for update")
        assert 0 < reached < EVENTS
        process.kill()
        await process.wait()
    await connection.close()


async def publish(nats_client: Nats, stream: str) -> None:
    """Volumes with one update each, without waiting for acknowledgements."""
    for n in range(EVENTS // 2):
        ref = KINDS["block-storage"].ref(IDS, f"v{n}")
        for position, event in ((2 * n + 1, Created(spec=SMALL)), (2 * n + 2, Updated(spec=SMALL))):
            previous = nth(position - 1) if isinstance(event, Updated) else BEGINNING
            new = new_event(ref, event, uid=f"u{n}", previous=previous)
            await nats_client.publish(subject(ref, REGION), encode(new, stream))
    await nats_client.flush()


# --- two streams


@pytest.fixture
async def two_streams(nats_client: Nats, fresh_stream: str) -> JetStreamLog:
    """A log with three events of a volume, and two of a role in the global stream."""
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream, GLOBAL_STREAM), region=REGION)
    await log.prepare()
    volume = KINDS["block-storage"].ref(IDS, "v")
    for ref, number in ((volume, 3), (ROLE, 2)):
        for n in range(number):
            event = Updated(spec=SMALL) if n else Created(spec=SMALL)
            await log.append(new_event(ref, event, previous=await log.last(ref)))
    return log


async def test_a_replay_of_two_streams_ends_at_a_position_in_each(
    two_streams: JetStreamLog, postgres_server_url: str
) -> None:
    log, until_ = two_streams, f"{STREAM}:2,{GLOBAL_STREAM}:1"
    positions = (nth(2), Position(GLOBAL_STREAM, 1))
    async with empty_database(postgres_server_url) as url:
        done = await replayed(log, url, until_, await named(log, positions))
        assert {*done.positions} == {*positions}
        async with read_models(url) as models:
            rows = await models.rows()
        reached = {row["stream"]: row["position"] for row in rows["resources.checkpoints"]}
        assert reached == {STREAM: 2, GLOBAL_STREAM: 1}
        assert len(rows["history"]) == 3
        with pytest.raises(NotEmpty):
            await replayed(log, url, "another", await named(log, positions))


async def replayed(log: JetStreamLog, url: str, text: str, positions: Positions) -> Replayed:
    async def resolve() -> Positions:
        return positions

    return await replay(
        url, Sources(log), (RESOURCES, HISTORY), until=text, resolve=resolve, region=REGION
    )


async def test_positions_are_those_of_the_log_one_in_each_stream(
    two_streams: JetStreamLog,
) -> None:
    role = Position(GLOBAL_STREAM, 1)
    for positions, reason in (
        ((nth(2),), "name a position in each stream"),
        ((nth(2), nth(1), role), "named twice"),
        ((nth(4), role), "the log ends at SECA:3, before SECA:4"),
        ((nth(2), role, Position("OTHER", 1)), "in no stream of this log"),
    ):
        with pytest.raises(NoSuchPosition, match=reason):
            await named(two_streams, positions)
    whole = {STREAM: nth(3), GLOBAL_STREAM: Position(GLOBAL_STREAM, 2)}
    assert await at_time(two_streams, NOON) == whole
    before = NOON.replace(year=2025)
    assert await at_time(two_streams, before) == dict.fromkeys(whole, BEGINNING)
