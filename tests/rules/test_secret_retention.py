"""Lives that have ended are found by the envelopes of stored events, without any key."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from secaplane.cli.operate.secret_retention import over, seen_lives
from secaplane.cli.operate.whole_log import whole_log
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.memory import MemoryLog
from secaplane.model.events import Closed, Created, Deleted, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.sealing.keys.data_key import body_key, secret_key
from secaplane.sealing.keys.key_store import StoredKey
from tests.key_scene import KeyScene
from tests.log.new_events import NOON, new_event
from tests.rules.command_scene import DISK, VM

UIDS = ("one", "two", "three", "unused")


async def written() -> MemoryLog:
    log = MemoryLog("eu-1")
    for ref, uid, event in (
        (VM, "one", Created(spec={})),
        (VM, "one", Deleted()),
        (VM, "two", Created(spec={})),
        (DISK, "three", Created(spec={})),
        (VM, "two", Updated(spec={})),
        (DISK, "three", Closed(since=BEGINNING, version=1)),
    ):
        await log.append(new_event(ref, event, uid=uid, previous=await log.last(ref)))
    return log


async def given(events: Sequence[RawEvent]) -> AsyncIterator[RawEvent]:
    for each in events:
        yield each


async def test_a_life_ends_by_deletion_or_closing() -> None:
    seen = await seen_lives(whole_log(await written()), UIDS)
    assert set(seen.ends) == {"one", "three"}
    assert (set(seen.going_on), seen.complete) == ({"two"}, True)


async def test_a_hole_and_bytes_that_cannot_be_read_are_seen() -> None:
    events = [each async for each in whole_log(await written())]
    hole = await seen_lives(given([*events[:1], *events[2:]]), UIDS)
    assert (set(hole.ends), hole.complete) == ({"three"}, False)
    strange = RawEvent(
        Position(events[0].position.stream, len(events) + 1), "subject", {}, b"no json"
    )
    assert not (await seen_lives(given([*events, strange]), UIDS)).complete


async def test_keys_of_ended_lives_and_unused_keys_are_over_after_the_grace() -> None:
    keys, log = KeyScene(), await written()
    for uid in UIDS:
        await keys.store.create(secret_key("t", uid), StoredKey("id", NOON, "wrapped"))
    await keys.store.create(body_key("one"), StoredKey("id", NOON, "wrapped"))
    for days, expected in ((31, set[str]()), (29, {"one", "three", "unused"})):
        some = await over(log, keys.store, (), NOON + timedelta(days=30), days)
        assert {each.owner.partition(".")[2] for each in some} == expected
    assert not await over(log, keys.store, ["t"], NOON + timedelta(days=99), 30)
