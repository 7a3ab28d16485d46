"""The contract of `Log.follow`, and of undecodable events, for every implementation."""

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog import memory
from secaplane.eventlog.codec import Undecodable, encode
from secaplane.eventlog.jetstream import follow
from secaplane.eventlog.jetstream.follow import PULL_BYTES_MAX
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Followed, Log, LogUnavailable, UndecodableEvent
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import (
    Closed,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    Updated,
)
from secaplane.model.position import BEGINNING
from tests.log.appending import CREATED, FOLLOW_S_MAX, UPDATED, add, append_undecodable, first
from tests.log.new_events import DISK, IDS, ONE, REGION, TWO, WEB, new_event
from tests.positions import nth
from tests.servers import STREAM

# --- follow


async def test_a_follower_catches_up_and_then_keeps_up(log: Log) -> None:
    created = await add(log, ONE, CREATED)
    other = await add(log, TWO, CREATED)
    following = log.follow(STREAM, after=created[0].position)
    assert await first(following, 1) == [*other]
    for event in (UPDATED, DeletionRequested(), Deleted()):
        recorded = await add(log, TWO, event)
        assert await first(following, 1) == [*recorded]
    await following.aclose()


async def test_a_follower_that_waits_is_woken(log: Log) -> None:
    following = log.follow(STREAM, after=BEGINNING)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(first(following, 1))
        await asyncio.sleep(0.1)
        recorded = await add(log, ONE, CREATED)
    assert waiting.result() == [*recorded]
    await following.aclose()


async def test_every_follower_sees_everything(log: Log) -> None:
    followings = [log.follow(STREAM, after=BEGINNING) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        seen = [group.create_task(first(each, 40)) for each in followings]
        history = [(await add(log, ref, CREATED))[0] for ref in (ONE, TWO, DISK, WEB)]
        for _ in range(9):
            history += [(await add(log, ref, UPDATED))[0] for ref in (ONE, TWO, DISK, WEB)]
    assert [each.result() for each in seen] == [history] * 3
    for following in followings:
        await following.aclose()


async def test_a_follower_of_many_events_keeps_its_consumer(
    nats_client: Client, fresh_stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several pull requests are used up, each by its number of messages."""
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    monkeypatch.setattr(follow, "FOLLOW_BATCH_MAX", 20)
    history = [(await add(log, ONE, CREATED if n == 0 else UPDATED))[0] for n in range(110)]
    consumers: list[str] = []
    requested = nats_client.request

    async def request(subject: str, *args: Any, **kwargs: Any) -> Msg:
        consumers.extend([subject] if "CONSUMER.CREATE" in subject else [])
        return await requested(subject, *args, **kwargs)

    monkeypatch.setattr(nats_client, "request", request)
    async with aclosing(log.follow(STREAM, after=BEGINNING)) as following:
        assert await first(following, len(history)) == history
    assert len(consumers) == 1


async def test_large_events_arrive_in_batches_that_are_bounded_in_bytes(
    nats_client: Client, fresh_stream: str
) -> None:
    """More than one pull request brings, so that some of them end with their bytes used up."""
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    large, count = Created(spec={"a": "x" * 900_000}), 2 * PULL_BYTES_MAX // 900_000 + 5
    history = [
        (await add(log, ONE, large if n == 0 else Updated(spec=large.spec)))[0]
        for n in range(count)
    ]
    seen: list[Followed] = []
    async with (
        asyncio.timeout(FOLLOW_S_MAX),
        aclosing(log.follow(STREAM, after=BEGINNING)) as batches,
    ):
        async for batch in batches:
            assert len(batch) <= 2
            seen += batch
            if len(seen) == count:
                break
    assert seen == history
    read: list[Followed] = []
    end = history[-1].position
    async for events in log.read_batches(ONE, after=BEGINNING, up_to=end):
        assert len(events) <= 6
        read += events
    assert read == history == list(await log.read(ONE))


async def test_a_follower_yields_an_empty_batch_while_no_event_arrives(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (follow, memory):
        monkeypatch.setattr(module, "QUIET_S", 0.1)
    recorded = await add(log, ONE, CREATED)
    following = log.follow(STREAM, after=BEGINNING)
    assert await first(following, 1) == [*recorded]
    async with asyncio.timeout(FOLLOW_S_MAX):
        assert [len(await anext(following)) for _ in range(3)] == [0, 0, 0]
    later = await add(log, ONE, UPDATED)
    assert await first(following, 1) == [*later]
    await following.aclose()


# --- undecodable events


@pytest.mark.parametrize("data", [b"no event", b"{}", b'{"v":3}', b"\xff"])
async def test_a_follower_yields_an_undecodable_event_with_its_address(
    log: Log, data: bytes
) -> None:
    before = await add(log, ONE, CREATED)
    await append_undecodable(log, KINDS["instance"].ref(IDS, "a.b"), data)
    after = await add(log, TWO, CREATED)
    following = log.follow(STREAM, after=BEGINNING)
    seen = await first(following, 3)
    await following.aclose()
    undecodable = seen[1]
    assert isinstance(undecodable, UndecodableEvent)
    assert (undecodable.ref, undecodable.position) == (KINDS["instance"].ref(IDS, "a.b"), nth(2))
    assert [seen[0], seen[2]] == [*before, *after]


async def test_a_history_with_an_undecodable_event_cannot_be_read(log: Log) -> None:
    await add(log, ONE, CREATED)
    await append_undecodable(log, ONE, b"no event")
    other = await add(log, TWO, CREATED)
    for read in (log.read, log.latest):
        with pytest.raises(Undecodable):
            await read(ONE)
    within = await log.read_within(WEB, after=BEGINNING, up_to=nth(3))
    assert [type(each) for each in within] == [RecordedEvent, UndecodableEvent, RecordedEvent]
    assert await log.history(ONE) == within[:2]
    assert await log.read(TWO) == other


@pytest.mark.parametrize("data", [b"no event", b"", b"{}"])
async def test_a_history_can_be_read_again_once_it_was_closed(log: Log, data: bytes) -> None:
    (created,) = await add(log, ONE, CREATED)
    await append_undecodable(log, ONE, data)
    (closed,) = await add(log, ONE, Closed(since=nth(2), version=3))
    assert await log.read(ONE) == (created, closed)
    assert await log.latest(ONE) == closed
    (again,) = await add(log, ONE, CREATED)
    assert await log.read(ONE) == (created, closed, again)
    assert len(await log.history(ONE)) == 4
    cache = ResourceCache(log, MemorySnapshots())
    resource = await cache.current(ONE)
    assert resource is not None
    assert (resource.gone, resource.version) == (False, 4)


async def test_only_what_no_release_writes_is_foreign(log: Log) -> None:
    later = encode(new_event(ONE, CREATED), STREAM).replace(b'"v":2', b'"v":3')
    for data in (b"no event", b'{"v":2}', later):
        await append_undecodable(log, ONE, data)
    events = await log.history(ONE)
    foreign = [each.foreign for each in events if isinstance(each, UndecodableEvent)]
    assert foreign == [True, True, False]


async def test_the_latest_event_can_be_read_after_an_undecodable_one(log: Log) -> None:
    await add(log, ONE, CREATED)
    await append_undecodable(log, ONE, b"no event")
    (recorded,) = await add(log, ONE, UPDATED)
    assert await log.latest(ONE) == recorded


# --- unknown subjects


@pytest.mark.parametrize("subject", ["seca.foo", "seca.eu-1.00.=FF.instance"])
async def test_a_message_on_an_unknown_subject_is_reported_and_does_not_stop_a_follower(
    fresh_stream: str, nats_client: Client, subject: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await nats_client.request(subject, b"garbage", timeout=5)
    (after,) = await add(log, ONE, CREATED)
    undecodable, followed = await first(log.follow(STREAM, after=BEGINNING), 2)
    assert isinstance(undecodable, UndecodableEvent)
    assert (undecodable.position, followed) == (nth(1), after)


async def test_the_newest_events_are_delivered_though_they_were_lost_on_their_way(
    nats_client: Client, fresh_stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a connection breaks: the server has sent them, and no later event shows the gap."""
    log = JetStreamLog(nats_client, streams=Streams(STREAM), region=REGION)
    await log.prepare()
    lost = list[bytes]()
    subscribe = Client.subscribe

    async def losing(self: Client, subject: str, *, cb: Any, **options: Any) -> Any:
        async def delivered(message: Msg) -> None:
            if message.data and len(lost) < 2:
                lost.append(message.data)
            else:
                await cb(message)

        return await subscribe(self, subject, cb=delivered, **options)

    monkeypatch.setattr(Client, "subscribe", losing)
    recorded = await add(log, ONE, CREATED, UPDATED)
    async with aclosing(log.follow(STREAM, after=BEGINNING)) as following:
        assert await first(following, 2) == [*recorded]
    assert len(lost) == 2


async def test_a_follower_asks_again_and_again_for_events_that_do_not_come() -> None:
    """Another consumer's messages may be lost, too; a stream without its newest events costs ever
    less."""

    class Described:
        async def request(self, *arguments: Any, **options: Any) -> Msg:
            data = b'{"state": {"last_seq": 9}}'
            return Msg(_client=Any, subject="", data=data)  # type: ignore[arg-type]

    tail = follow._Tail(cast(Client, Described()), STREAM)
    waits = list[int]()
    for _ in range(4):
        tail.follows(nth(7))
        for quiet in range(follow.PATIENCE_MAX + 2):
            try:
                await tail.quiet()
            except LogUnavailable:
                waits.append(quiet)
                break
    assert waits == [1, 2, 4, 8]
    tail.follows(nth(9))
    for _ in range(follow.PATIENCE_MAX):
        await tail.quiet()
