"""The contract of `Log`, run against every implementation."""

import asyncio

import msgspec
import pytest
from nats.aio.client import Client

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Log, PrefixExpectation, VersionConflict
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Deleted, DeletionRequested, RecordedEvent, Updated
from secaplane.model.position import BEGINNING
from tests.log.appending import CREATED, UPDATED, add, first
from tests.log.new_events import (
    DISK,
    ELSEWHERE,
    IDS,
    ONE,
    REGION,
    ROLE,
    TWO,
    WEB,
    WEBSITE,
    new_event,
)
from tests.positions import nth
from tests.servers import STREAM, connected, emptied

# --- append and read


async def test_a_log_is_empty_at_first(log: Log) -> None:
    assert await log.read(ONE) == ()
    lasts = [await log.last(ONE), await log.last_within(WEB), await log.last_of("instance")]
    assert [*lasts, await log.end(STREAM)] == [BEGINNING] * 4
    assert await log.latest(ONE) is None
    assert await log.read_within(WEB, after=BEGINNING, up_to=BEGINNING) == ()


async def test_events_are_read_in_the_order_of_their_append(log: Log) -> None:
    one = await add(log, ONE, CREATED)
    two = await add(log, TWO, CREATED)
    one += await add(log, ONE, UPDATED, DeletionRequested(), Deleted())
    assert await log.read(ONE) == one
    assert await log.read(TWO) == two
    assert [each.position for each in (*one, *two)] == [*map(nth, (1, 3, 4, 5, 2))]


async def test_a_recorded_event_equals_the_appended_one(log: Log) -> None:
    written = new_event(ONE, Created(spec={"deep": [{"é": None, "n": 2**62}]}, labels={}))
    recorded = await log.append(msgspec.structs.replace(written, previous=BEGINNING))
    assert recorded == written.at(nth(1))
    assert (await log.read(ONE))[0] == recorded


async def test_a_history_is_read_after_one_position_and_up_to_another(log: Log) -> None:
    history = await add(log, ONE, CREATED, UPDATED, UPDATED, UPDATED)
    await add(log, TWO, CREATED)
    assert await log.read(ONE, after=nth(2)) == history[2:]
    assert await log.read(ONE, up_to=nth(3)) == history[:3]
    assert await log.read(ONE, after=nth(1), up_to=nth(3)) == history[1:3]
    assert await log.read(ONE, after=nth(4)) == ()
    assert await log.read(ONE, after=nth(3), up_to=nth(3)) == ()


async def test_a_long_history_is_read_whole(log: Log) -> None:
    events = [Updated(spec={"n": n, "pad": "x" * 100}) for n in range(1500)]
    history = [await log.append(new_event(ONE, CREATED, previous=BEGINNING))]
    for event in events:
        history.append(await log.append(new_event(ONE, event, previous=history[-1].position)))
    assert await log.read(ONE) == tuple(history)
    assert await log.read(ONE, after=nth(700), up_to=nth(1300)) == tuple(history[700:1300])
    following = log.follow(STREAM, after=nth(500))
    assert await first(following, 1001) == history[500:]
    await following.aclose()


@pytest.mark.parametrize("name", ["a.b", "a.b.c", "seca.n1k", "a-b", "0", "x" * 128])
async def test_a_name_with_dots_is_one_name(log: Log, name: str) -> None:
    ref, other = (KINDS["instance"].ref(IDS, each) for each in (name, f"{name}.b"))
    first_history, second_history = await add(log, ref, CREATED), await add(log, other, CREATED)
    assert (await log.read(ref), await log.read(other)) == (first_history, second_history)
    assert await log.read_within(WEB, after=BEGINNING, up_to=nth(2)) == (
        *first_history,
        *second_history,
    )


# --- optimistic concurrency


async def test_an_append_at_another_version_is_refused(log: Log) -> None:
    (created,) = await add(log, ONE, CREATED)
    (updated,) = await add(log, ONE, UPDATED)
    for after in (BEGINNING, created.position, updated.position.moved(1)):
        with pytest.raises(VersionConflict):
            await log.append(new_event(ONE, DeletionRequested(), previous=after))
    assert await log.read(ONE) == (created, updated)


async def test_events_of_other_resources_are_no_version_conflict(log: Log) -> None:
    (created,) = await add(log, ONE, CREATED)
    for other in (TWO, DISK, ELSEWHERE, WEB):
        await add(log, other, CREATED)
    recorded = await log.append(new_event(ONE, UPDATED, previous=created.position))
    assert recorded.position == nth(6)


async def test_one_of_many_concurrent_appends_succeeds(log: Log) -> None:
    (created,) = await add(log, ONE, CREATED)

    async def attempt(n: int) -> RecordedEvent | None:
        try:
            event = new_event(ONE, Updated(spec={"n": n}), request=f"r{n}")
            return await log.append(msgspec.structs.replace(event, previous=created.position))
        except VersionConflict:
            return None

    attempts = await asyncio.gather(*(attempt(n) for n in range(16)))
    (winner,) = [recorded for recorded in attempts if recorded]
    assert await log.read(ONE) == (created, winner)


async def test_one_of_two_connections_wins_each_append(nats_url: str) -> None:
    async with connected(nats_url) as client, connected(nats_url) as other_client:
        await emptied(client)
        logs = [
            JetStreamLog(each, streams=Streams(STREAM), region=REGION)
            for each in (client, other_client)
        ]
        for log in logs:
            await log.prepare()
        after = BEGINNING
        won: list[RecordedEvent] = []
        for n in range(20):
            events = [
                new_event(ONE, Updated(spec={"n": n}), request=request)
                for request in ("one", "two")
            ]
            tried = await asyncio.gather(
                *(
                    log.append(msgspec.structs.replace(event, previous=after))
                    for log, event in zip(logs, events, strict=True)
                ),
                return_exceptions=True,
            )
            (recorded,) = [each for each in tried if isinstance(each, RecordedEvent)]
            (conflict,) = [each for each in tried if not isinstance(each, RecordedEvent)]
            assert isinstance(conflict, VersionConflict)
            won.append(recorded)
            after = recorded.position
        assert await logs[0].read(ONE) == await logs[1].read(ONE) == tuple(won)


# --- prefix expectations


async def test_a_prefix_expectation_covers_everything_contained_in_a_resource(log: Log) -> None:
    await add(log, WEB, CREATED)
    (child,) = await add(log, ONE, CREATED)
    await add(log, WEBSITE, CREATED)
    await add(log, ELSEWHERE, CREATED)
    expectation = PrefixExpectation(WEB, child.position)
    gone = await log.append(
        new_event(WEB, DeletionRequested(), previous=nth(1)), expectation=expectation
    )
    assert gone.position == nth(5)
    for late in (
        expectation,
        PrefixExpectation(WEB, nth(4)),
        PrefixExpectation(WEB, nth(6)),
    ):
        with pytest.raises(VersionConflict):
            await log.append(new_event(WEB, Deleted(), previous=gone.position), expectation=late)
    await log.append(
        new_event(WEB, Deleted(), previous=gone.position),
        expectation=PrefixExpectation(WEB, gone.position),
    )


async def test_a_child_appended_meanwhile_is_a_version_conflict(log: Log) -> None:
    await add(log, WEB, CREATED)
    expectation = PrefixExpectation(WEB, await log.last_within(WEB))
    await add(log, DISK, CREATED)
    with pytest.raises(VersionConflict):
        await log.append(
            new_event(WEB, DeletionRequested(), previous=nth(1)), expectation=expectation
        )
    assert await log.last(WEB) == nth(1)


# --- last positions, and ranges between two


async def test_last_positions_are_those_of_a_resource_its_contents_and_a_kind(log: Log) -> None:
    for ref in (WEB, ONE, DISK, WEBSITE, ELSEWHERE, ROLE):
        await add(log, ref, CREATED)
    await add(log, WEB, UPDATED)
    assert [await log.last(ref) for ref in (WEB, ONE, DISK, TWO)] == [*map(nth, (7, 2, 3, 0))]
    within = [await log.last_within(ref) for ref in (WEB, ONE, WEBSITE, TWO)]
    assert within == [*map(nth, (7, 2, 4, 0))]
    kinds = ("workspace", "instance", "block-storage", "role", "region")
    assert [await log.last_of(kind) for kind in kinds] == [*map(nth, (7, 5, 3, 6, 0))]
    assert await log.end(STREAM) == nth(7)


async def test_the_latest_event_is_the_end_of_the_history(log: Log) -> None:
    await add(log, WEB, CREATED)
    for event in (CREATED, UPDATED, DeletionRequested(), Deleted(), CREATED):
        (recorded,) = await add(log, ONE, event)
        await add(log, TWO, UPDATED)
        assert await log.latest(ONE) == recorded == (await log.read(ONE))[-1]


async def test_an_event_names_the_previous_position_of_its_resource(log: Log) -> None:
    await add(log, ONE, CREATED)
    await add(log, TWO, CREATED)
    await add(log, ONE, UPDATED, UPDATED)
    assert [each.previous for each in await log.read(ONE)] == [*map(nth, (0, 1, 3))]
    following = log.follow(STREAM, after=BEGINNING)
    followed = await first(following, 4)
    await following.aclose()
    assert [getattr(each, "previous", None) for each in followed] == [*map(nth, (0, 0, 1, 3))]


async def test_an_event_appended_with_an_expectation_names_the_previous_position_too(
    log: Log,
) -> None:
    await add(log, WEB, CREATED)
    expectation = PrefixExpectation(WEB, nth(1))
    gone = await log.append(
        new_event(WEB, DeletionRequested(), previous=nth(1)), expectation=expectation
    )
    assert gone.previous == nth(1)
    assert await log.latest(WEB) == gone == (await log.read(WEB))[-1]


async def test_a_resource_is_read_together_with_its_contents(log: Log) -> None:
    web = await add(log, WEB, CREATED)
    one = await add(log, ONE, CREATED, UPDATED)
    await add(log, WEBSITE, CREATED)
    disk = await add(log, DISK, CREATED)
    await add(log, ELSEWHERE, CREATED)
    end = await log.last_within(WEB)
    assert await log.read_within(WEB, after=BEGINNING, up_to=end) == (*web, *one, *disk)
    assert await log.read_within(WEB, after=nth(2), up_to=end) == (one[1], *disk)
    assert await log.read_within(WEB, after=BEGINNING, up_to=nth(3)) == (*web, *one)
    assert await log.read_within(WEB, after=end, up_to=end) == ()


async def test_resources_of_a_kind_that_changed_are_read_across_tenants(log: Log) -> None:
    await add(log, ONE, CREATED)
    await add(log, DISK, CREATED)
    await add(log, ELSEWHERE, CREATED)
    end = await log.last_of("instance")
    assert await log.touched("instance", after=BEGINNING, up_to=end) == {
        ONE: nth(1),
        ELSEWHERE: nth(3),
    }
    assert await log.touched("instance", after=nth(1), up_to=end) == {ELSEWHERE: nth(3)}


async def test_kinds_with_the_same_collection_name_are_kept_apart(log: Log) -> None:
    compute, storage = (KINDS[kind].ref(IDS, "s") for kind in ("instance-sku", "storage-sku"))
    one, two = await add(log, compute, CREATED), await add(log, storage, CREATED)
    assert (await log.read(compute), await log.read(storage)) == (one, two)
    assert await log.touched("storage-sku", after=BEGINNING, up_to=nth(2)) == {storage: nth(2)}


async def test_the_streams_of_a_log_are_fixed_when_it_is_created(
    nats_client: Client, fresh_stream: str
) -> None:
    await JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION).prepare()
    split = Streams(fresh_stream, f"{fresh_stream}-GLOBAL")
    with pytest.raises(ValueError, match="is fixed when the log is created"):
        await JetStreamLog(nats_client, streams=split, region=REGION).prepare()
