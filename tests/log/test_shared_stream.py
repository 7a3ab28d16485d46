"""A shared stream: projectors that are close to each other share one follower of the log."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from secaplane.eventlog.log import Followed
from secaplane.eventlog.memory import BATCH_MAX, MemoryLog
from secaplane.kinds import KINDS
from secaplane.model.events import Created, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.folding import fold
from secaplane.projector.shared_stream import RECENT_BYTES_MAX, RECENT_MAX, SharedStream
from tests.log.new_events import IDS, REGION, SPEC, new_event
from tests.positions import STREAM, nth


class CountingLog(MemoryLog):
    """Counts the followers that were started, and from where."""

    def __init__(self) -> None:
        super().__init__(REGION)
        self.followed: list[Position] = []

    def follow(self, stream: str, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        self.followed.append(after)
        return super().follow(stream, after=after)

    async def grow(self, count: int) -> None:
        for _ in range(count):
            ref = KINDS["block-storage"].ref(IDS, f"v{(await self.end(STREAM)).sequence}")
            await self.append(new_event(ref, Created(spec=SPEC)))


@pytest.fixture
def log() -> CountingLog:
    return CountingLog()


async def take(shared: SharedStream, after: Position, up_to: int) -> list[Followed]:
    """The events after a position, up to a sequence."""
    taken: list[Followed] = []
    async with asyncio.timeout(10), aclosing(shared.follow(after=after)) as batches:
        async for batch in batches:
            taken += batch
            if taken and taken[-1].position >= nth(up_to):
                break
    return taken


async def test_two_followers_get_the_same_events_from_one_follower_of_the_log(
    log: CountingLog,
) -> None:
    await log.grow(600)
    shared = SharedStream(log, STREAM)
    one, two = await asyncio.gather(*(take(shared, BEGINNING, 600) for _ in range(2)))
    assert [each.position for each in one] == [nth(n) for n in range(1, 601)]
    assert len(one) == len(two)
    assert all(mine is theirs for mine, theirs in zip(one, two, strict=True))
    assert log.followed == [BEGINNING]


async def test_a_follower_that_is_further_behind_reads_the_log_itself_until_it_has_caught_up(
    log: CountingLog,
) -> None:
    await log.grow(2 * RECENT_MAX + 2 * BATCH_MAX)
    end = (await log.end(STREAM)).sequence
    shared = SharedStream(log, STREAM)
    await take(shared, BEGINNING, end)
    behind = await take(shared, BEGINNING, end)
    assert [each.position for each in behind] == [nth(n) for n in range(1, end + 1)]
    assert log.followed == [BEGINNING, BEGINNING]
    await log.grow(3)
    again = await asyncio.gather(*(take(shared, nth(end), end + 3) for _ in range(3)))
    assert [[each.position.sequence for each in some] for some in again] == [
        [end + 1, end + 2, end + 3]
    ] * 3
    assert len(log.followed) <= 3


async def test_a_follower_that_is_ahead_of_the_shared_one_reads_the_log_itself(
    log: CountingLog,
) -> None:
    await log.grow(10)
    shared = SharedStream(log, STREAM)
    await take(shared, BEGINNING, 4)
    await log.grow(1)
    ahead = await take(shared, nth(10), 11)
    assert [each.position for each in ahead] == [nth(11)]


async def test_a_cancelled_follower_does_not_stop_the_others(log: CountingLog) -> None:
    shared = SharedStream(log, STREAM)
    waiting = asyncio.create_task(take(shared, BEGINNING, 1))
    other = asyncio.create_task(take(shared, BEGINNING, 2))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await log.grow(2)
    assert [each.position for each in await other] == [nth(1), nth(2)]


async def test_an_event_is_folded_once_for_all_projectors(log: CountingLog) -> None:
    await log.grow(5)
    shared = SharedStream(log, STREAM)
    events = [each for each in await take(shared, BEGINNING, 5) if isinstance(each, RecordedEvent)]
    first, second = fold({}, events, REGION, shared), fold({}, events, REGION, shared)
    assert all(one is two for one, two in zip(first, second, strict=True))
    decoded_again = await log.read(events[0].ref)
    (other,) = fold({}, decoded_again, REGION, shared)
    assert other is not first[0]
    assert other == first[0]


async def test_the_events_kept_for_later_projectors_are_bounded_in_bytes(log: CountingLog) -> None:
    large = Created(spec={"a": "x" * 1_000_000})
    for n in range(60):
        await log.append(new_event(KINDS["workspace"].ref(IDS, f"w{n}"), large))
    shared = SharedStream(log, STREAM)
    await take(shared, BEGINNING, 60)
    assert len(shared._recent) == len(shared._weights) < 20
    assert shared._size == sum(shared._weights) <= RECENT_BYTES_MAX
    behind = await take(shared, BEGINNING, 60)
    assert [each.position for each in behind] == [nth(n) for n in range(1, 61)]
