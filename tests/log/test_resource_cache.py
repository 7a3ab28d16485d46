"""The resource cache: a first read from a snapshot equals the fold of the whole history, and
`current` and `recent` are as current as they claim."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import RECENT_S, ResourceCache
from secaplane.eventlog.snapshots import (
    PAST_BYTES_MAX,
    SNAPSHOT_INTERVAL,
    KeyValueSnapshots,
    MemorySnapshots,
    Snapshots,
)
from secaplane.eventlog.subjects import subject
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    Updated,
)
from secaplane.model.evolve import fold
from secaplane.model.past import after_events
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref, Resource, State
from tests.log.new_events import NOON, ONE, REGION, TWO, new_event
from tests.positions import nth
from tests.scenario import found
from tests.servers import SNAPSHOTS, STREAM, connected, emptied

KEPT_TRIES_MAX = 200


@pytest.fixture(params=["memory", "key-value"])
async def snapshots(request: pytest.FixtureRequest) -> AsyncIterator[Snapshots]:
    if request.param == "memory":
        yield MemorySnapshots()
        return
    async with connected(request.getfixturevalue("nats_url")) as client:
        await emptied(client)
        made = KeyValueSnapshots(client, stream=STREAM, region=REGION)
        await made.prepare()
        yield made


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(REGION)


async def lived(log: Log, ref: Ref, events: int) -> None:
    """A long history: created, updated, started, reported, deleted and created again."""
    for n in range(events):
        event = (
            Created(spec={"n": n}, labels={"env": "é"}),
            Updated(spec={"n": n}),
            ActionRequested(action="start"),
            found(State.ACTIVE, observed_position=n, powerState="on"),
            found(State.ERROR, observed_position=n + 1, reason="NoSpace"),
            DeletionRequested(),
            Deleted(),
        )[n % 7]
        written = new_event(ref, event, uid=f"u{n // 7}")
        later = NOON + timedelta(milliseconds=n)
        await log.append(
            msgspec.structs.replace(replace(written, time=later), previous=await log.last(ref))
        )


async def kept(snapshots: Snapshots, ref: Ref, position: int) -> Resource:
    """The snapshot at that position, once it is saved."""
    for _ in range(KEPT_TRIES_MAX):
        snapshot = await snapshots.load(ref)
        if snapshot is not None and snapshot.position == nth(position):
            return snapshot
        await asyncio.sleep(0.01)
    raise AssertionError("the snapshot was not saved")


async def test_a_resource_without_events_is_none(log: Log, snapshots: Snapshots) -> None:
    cache = ResourceCache(log, snapshots)
    assert await snapshots.load(ONE) is None
    assert await cache.current(ONE) is None
    assert cache.cached(ONE) is None


async def test_a_snapshot_is_loaded_as_it_was_saved(log: Log, snapshots: Snapshots) -> None:
    await lived(log, ONE, SNAPSHOT_INTERVAL)
    resource = fold(await log.read(ONE))
    assert resource is not None
    await snapshots.save(resource)
    assert await kept(snapshots, ONE, SNAPSHOT_INTERVAL) == resource
    assert await snapshots.load(TWO) is None


async def test_a_past_is_saved_beside_the_snapshot_of_its_resource(
    log: Log, snapshots: Snapshots
) -> None:
    await lived(log, ONE, 3)
    history = await log.read(ONE)
    resource, past = fold(history), after_events(None, history)
    assert resource is not None
    assert past is not None
    assert past.changes
    assert await snapshots.load_past(ONE) is None
    await snapshots.save_past(past)
    await snapshots.save(resource)
    assert await kept(snapshots, ONE, 3) == resource
    assert await snapshots.load_past(ONE) == past
    assert await snapshots.load_past(TWO) is None
    large = replace(past, undeleted=replace(resource, spec={"note": "x" * PAST_BYTES_MAX}))
    await snapshots.save_past(large)
    await snapshots.save(replace(resource, position=nth(4)))
    await kept(snapshots, ONE, 4)
    assert await snapshots.load_past(ONE) == past


@pytest.mark.parametrize("events", [1, 99, 100, 101, 123, 250])
async def test_a_first_read_is_the_fold_of_the_whole_history(
    log: Log, snapshots: Snapshots, events: int
) -> None:
    await lived(log, ONE, events)
    await ResourceCache(log, snapshots).current(ONE)
    if events >= SNAPSHOT_INTERVAL:
        await kept(snapshots, ONE, events)
    await lived(log, TWO, 3)
    await lived_on(log, ONE, 5)
    whole = fold(await log.read(ONE))
    assert await ResourceCache(log, snapshots).current(ONE) == whole


async def lived_on(log: Log, ref: Ref, events: int) -> None:
    for n in range(events):
        update = new_event(ref, Updated(spec={"later": n}))
        await log.append(msgspec.structs.replace(update, previous=await log.last(ref)))


async def test_a_first_read_reads_only_the_events_after_the_snapshot(
    log: Log, snapshots: Snapshots
) -> None:
    """Shown by a snapshot with another uid, which the answer then has, too."""
    await lived(log, ONE, 150)
    resource = fold(await log.read(ONE, up_to=nth(120)))
    assert resource is not None
    await snapshots.save(replace(resource, uid="from the snapshot"))
    await kept(snapshots, ONE, 120)
    cold = await ResourceCache(log, snapshots).current(ONE)
    assert cold == fold(
        await log.read(ONE, after=nth(120)), replace(resource, uid="from the snapshot")
    )


async def test_a_snapshot_is_saved_every_hundred_events(log: Log, snapshots: Snapshots) -> None:
    cache = ResourceCache(log, snapshots)
    positions = set()
    for n in range(1, 2 * SNAPSHOT_INTERVAL + 30):
        await lived_on(log, ONE, 1) if n > 1 else await lived(log, ONE, 1)
        await cache.current(ONE)
        if n % SNAPSHOT_INTERVAL == 0:
            await kept(snapshots, ONE, n)
        snapshot = await snapshots.load(ONE)
        positions.add(snapshot.position if snapshot else BEGINNING)
    assert positions == {*map(nth, (0, SNAPSHOT_INTERVAL, 2 * SNAPSHOT_INTERVAL))}


async def test_a_cached_resource_is_brought_up_to_date(log: Log, snapshots: Snapshots) -> None:
    cache = ResourceCache(log, snapshots)
    await lived(log, ONE, 2)
    before = await cache.current(ONE)
    assert cache.cached(ONE) is before
    assert await cache.current(ONE) is before
    await lived_on(log, ONE, 1)
    assert cache.cached(ONE) is before
    after = await cache.current(ONE)
    assert after == fold(await log.read(ONE))
    assert cache.cached(ONE) is after


async def test_a_snapshot_of_another_log_is_ignored(log: Log, snapshots: Snapshots) -> None:
    await lived(log, ONE, 120)
    resource = fold(await log.read(ONE))
    assert resource is not None
    await snapshots.save(resource)
    await kept(snapshots, ONE, 120)
    restored = MemoryLog(REGION)
    await lived(restored, ONE, 4)
    assert await ResourceCache(restored, snapshots).current(ONE) == fold(await restored.read(ONE))


def key(ref: Ref) -> str:
    return f"$KV.{SNAPSHOTS.removeprefix('KV_')}.{subject(ref, REGION)}"


@pytest.mark.parametrize("data", [b"no JSON", b"{}", b'{"ref":{}}', b"\xff", b"null"])
async def test_an_undecodable_snapshot_is_ignored(
    log: Log, nats_client: Client, fresh_stream: str, data: bytes
) -> None:
    snapshots = KeyValueSnapshots(nats_client, stream=fresh_stream, region=REGION)
    await snapshots.prepare()
    await lived(log, ONE, 10)
    await nats_client.jetstream().publish(key(ONE), data)
    assert await snapshots.load(ONE) is None
    assert await ResourceCache(log, snapshots).current(ONE) == fold(await log.read(ONE))


async def test_a_snapshot_under_the_key_of_another_resource_is_ignored(
    log: Log, nats_client: Client, fresh_stream: str
) -> None:
    snapshots = KeyValueSnapshots(nats_client, stream=fresh_stream, region=REGION)
    await snapshots.prepare()
    await lived(log, ONE, 1)
    resource = fold(await log.read(ONE))
    await nats_client.jetstream().publish(key(TWO), msgspec.json.encode(resource))
    assert await snapshots.load(TWO) is None
    await nats_client.jetstream().publish(key(ONE), msgspec.json.encode(resource))
    assert await snapshots.load(ONE) == resource


async def test_a_missing_bucket_is_unavailable(nats_client: Client, fresh_stream: str) -> None:
    with pytest.raises(LogUnavailable):
        await KeyValueSnapshots(nats_client, stream=fresh_stream, region=REGION).load(ONE)


# --- answers of `recent`, which may be RECENT_S old


async def workspace_of(log: Log, cache: ResourceCache) -> Resource:
    await lived(log, ONE, 1)
    resource = await cache.recent(ONE)
    assert resource is not None
    return resource


async def test_a_recent_resource_is_read_again_after_five_seconds(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ResourceCache(log, MemorySnapshots())
    resource = await workspace_of(log, cache)
    await lived_on(log, ONE, 1)
    assert await cache.recent(ONE) is resource
    later = time.monotonic() + RECENT_S + 0.1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert cache.recently_read(ONE) is None
    assert (await cache.recent(ONE)) == fold(await log.read(ONE))


async def test_a_resource_that_is_being_deleted_is_always_read_again(log: Log) -> None:
    """A tenant whose deletion was reverted, for example, accepts children at once."""
    cache = ResourceCache(log, MemorySnapshots())
    await workspace_of(log, cache)
    deletion = new_event(ONE, DeletionRequested())
    await log.append(msgspec.structs.replace(deletion, previous=await log.last(ONE)))
    cache.invalidate(ONE)
    for _ in range(2):
        resource = await cache.recent(ONE)
        assert resource is not None
        assert resource.terminating
        assert cache.recently_read(ONE) is None


async def test_a_newer_position_known_to_this_process_ends_a_recent_answer(log: Log) -> None:
    """Without any notification: the process itself wrote, or read, the newer event."""
    cache = ResourceCache(log, MemorySnapshots())
    await workspace_of(log, cache)
    deletion = new_event(ONE, DeletionRequested())
    await log.append(msgspec.structs.replace(deletion, previous=await log.last(ONE)))
    await cache.current(ONE)
    assert cache.recently_read(ONE) is None


@pytest.mark.parametrize("missed", [False, True])
async def test_a_follower_ends_a_recent_answer_also_when_it_may_have_missed_events(
    log: Log, missed: bool
) -> None:
    cache = ResourceCache(log, MemorySnapshots())
    resource = await workspace_of(log, cache)
    assert cache.recently_read(ONE) is resource
    if missed:
        cache.invalidate_all()
    else:
        cache.invalidate(ONE)
    assert cache.recently_read(ONE) is None


class SlowLog(MemoryLog):
    """Answers with the event that was the last when it was asked, after a while."""

    def __init__(self) -> None:
        super().__init__(REGION)
        self.answering = asyncio.Event()

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        latest = await super().latest(ref)
        await self.answering.wait()
        return latest


async def test_an_answer_that_is_invalidated_while_it_is_read_is_not_recent() -> None:
    log = SlowLog()
    cache = ResourceCache(log, MemorySnapshots())
    first = await log.append(new_event(ONE, Created(spec={"n": 1}), previous=BEGINNING))
    reading = asyncio.create_task(cache.recent(ONE))
    await asyncio.sleep(0)
    await log.append(new_event(ONE, Updated(spec={"n": 2}), previous=first.position))
    cache.invalidate(ONE)
    log.answering.set()
    await reading
    assert cache.recently_read(ONE) is None
    resource = await cache.recent(ONE)
    assert resource is not None
    assert resource.spec == {"n": 2}
    assert cache.recently_read(ONE) is resource


async def test_callers_that_arrive_during_a_load_share_the_next_one() -> None:
    log = SlowLog()
    cache = ResourceCache(log, MemorySnapshots())
    first = await log.append(new_event(ONE, Created(spec={"n": 1}), previous=BEGINNING))
    early = asyncio.create_task(cache.current(ONE))
    await asyncio.sleep(0)
    late = [asyncio.create_task(cache.current(ONE)) for _ in range(3)]
    await asyncio.sleep(0)
    await log.append(new_event(ONE, Updated(spec={"n": 2}), previous=first.position))
    log.answering.set()
    assert (await early or pytest.fail("nothing was read")).spec == {"n": 1}
    assert {id(await each) for each in late} == {id(cache.cached(ONE))}
    assert (cache.cached(ONE) or pytest.fail("nothing is cached")).spec == {"n": 2}


@pytest.mark.parametrize("first", [Updated(spec={}), DeletionRequested(), Deleted()])
async def test_an_event_that_cannot_be_applied_is_undecodable(
    log: Log, snapshots: Snapshots, first: AnyEvent
) -> None:
    await log.append(new_event(ONE, first))
    with pytest.raises(Undecodable):
        await ResourceCache(log, snapshots).current(ONE)
