"""A follower that asks again gets at least what it followed, whatever it asks, in every reader."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest

from secaplane.cli.processes.resource_log import CachedResourceLog
from secaplane.command.gather.children import ChildrenReader
from secaplane.command.gather.damage import load_damaged
from secaplane.eventlog import monotonic
from secaplane.eventlog.codec import EventMissing
from secaplane.eventlog.log import Log, LogUnavailable, OutdatedAnswer
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.monotonic import (
    ASKED_AGAIN_S,
    KnownPositions,
    MonotonicLog,
    end_reaching,
)
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import DeletionRequested, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref
from secaplane.projector.groups import RESOURCES
from secaplane.projector.run import LogGap, Projector
from secaplane.projector.shared_stream import SharedStream
from tests.log.appending import CREATED, UPDATED, add, append_undecodable, first
from tests.log.lagging import ALWAYS, LaggingLog
from tests.log.new_events import DISK, IDS, ONE, REGION, TWO, WEB, new_event
from tests.positions import nth
from tests.servers import STREAM
from tests.virtual_time import in_virtual_time

Question = Callable[[Log, Ref], Awaitable[Position]]


async def last(log: Log, ref: Ref) -> Position:
    return await log.last(ref)


async def latest(log: Log, ref: Ref) -> Position:
    found = await log.latest(ref)
    return found.position if found else BEGINNING


async def last_within(log: Log, ref: Ref) -> Position:
    return await log.last_within(ref)


async def last_of(log: Log, ref: Ref) -> Position:
    return await log.last_of(ref.kind)


async def end(log: Log, ref: Ref) -> Position:
    return await log.end(log.streams.of(ref.kind))


async def read(log: Log, ref: Ref) -> Position:
    history = await log.read(ref)
    return history[-1].position if history else BEGINNING


async def whole_history(log: Log, ref: Ref) -> Position:
    history = await log.history(ref)
    return history[-1].position if history else BEGINNING


# --- readers: each concludes from what it asks


async def current(log: Log, ref: Ref) -> Position:
    """The resource cache, and so reconciliations, decisions, checks after an append."""
    resource = await ResourceCache(log, MemorySnapshots()).current(ref)
    return resource.position if resource else BEGINNING


async def recent(log: Log, ref: Ref) -> Position:
    resource = await ResourceCache(log, MemorySnapshots()).recent(ref)
    return resource.position if resource else BEGINNING


async def by_name(log: Log, ref: Ref) -> Position:
    """The newest event of an address, for a GET."""
    cached = CachedResourceLog(log, ResourceCache(log, MemorySnapshots()))
    return (await cached.newest(ref, known=BEGINNING)).position


async def children(log: Log, ref: Ref) -> Position:
    """The expectation under which a parent can end."""

    async def ask(parent: Ref, terminating: bool) -> list[Ref]:
        return []

    async def reached(positions: object, seconds: float) -> bool:
        return True

    reader = ChildrenReader(log, ask, reached, ref, include_terminating=False)
    return (await reader.expectation(0)).after


async def damage(log: Log, ref: Ref) -> Position:
    context = await load_damaged(log, ref)
    return context.latest.position if context.latest else BEGINNING


QUESTIONS = [last, latest, last_within, last_of, end, read, whole_history]
READERS = [current, recent, by_name, children, damage]


async def followed(log: Log, *, after: Position, number: int) -> None:
    async with aclosing(log.follow(STREAM, after=after)) as batches:
        await first(batches, number)


@pytest.mark.parametrize("ask", [*QUESTIONS, *READERS])
async def test_a_leader_that_lags_is_asked_again_until_it_has_what_was_followed(
    ask: Question,
) -> None:
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=2))
    for event in (CREATED, UPDATED, DeletionRequested()):
        (recorded,) = await add(log.inner.log, WEB, event)
        await followed(log, after=recorded.position.moved(-1), number=1)
        assert await ask(log, WEB) == recorded.position


@pytest.mark.parametrize("ask", [*QUESTIONS, *READERS])
async def test_without_it_the_double_answers_as_of_one_event_ago(ask: Question) -> None:
    log = LaggingLog(MemoryLog(REGION), outdated_answers=ALWAYS)
    await add(log.log, WEB, CREATED, UPDATED)
    await followed(log, after=BEGINNING, number=2)
    assert await ask(log, WEB) == nth(1)


@in_virtual_time
async def test_nothing_is_concluded_while_the_leader_lags() -> None:
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=ALWAYS))
    await add(log.inner.log, WEB, CREATED)
    await followed(log, after=BEGINNING, number=1)
    for ask in (*QUESTIONS, current, recent, children, damage):
        with pytest.raises(OutdatedAnswer, match="an outdated answer: it ends at SECA:0"):
            await ask(log, WEB)
        assert log.inner.asked <= 2 * (len(monotonic.ASKED_AGAIN_S) + 1)
        log.inner.asked = 0


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_every_log_answers_with_what_was_followed(log: Log, ask: Question) -> None:
    recorded = await add(log, WEB, CREATED, UPDATED)
    await followed(log, after=BEGINNING, number=2)
    assert await ask(log, WEB) == recorded[-1].position


async def test_an_older_event_that_cannot_be_decoded_is_not_concluded_from() -> None:
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=1))
    memory = log.inner.log
    await append_undecodable(memory, ONE, b"no event")
    closed = await memory.append(new_event(ONE, CREATED, previous=nth(1)))
    await followed(log, after=BEGINNING, number=2)
    assert await log.latest(ONE) == closed


async def test_a_question_about_another_address_is_answered_at_once() -> None:
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=ALWAYS))
    await add(log.inner.log, TWO, CREATED)
    await add(log.inner.log, WEB, CREATED)
    await followed(log, after=BEGINNING, number=2)
    assert (await last(log, TWO), await last(log, DISK)) == (nth(1), BEGINNING)
    assert log.inner.asked == 2


async def test_an_address_that_is_no_longer_listed_is_answered_by_a_leader_that_has_caught_up() -> (
    None
):
    """Of 5 addresses the positions of 2 are kept: for the others the leader's end is asked once."""
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=3))
    log._known[STREAM] = KnownPositions(addresses_max=2)
    refs = [KINDS["instance"].ref(IDS, f"n{n}") for n in range(5)]
    for ref in refs:
        await add(log.inner.log, ref, CREATED)
    await followed(log, after=BEGINNING, number=5)
    assert [await last(log, ref) for ref in refs] == [nth(n) for n in range(1, 6)]


async def test_a_follower_that_begins_later_knows_that_all_before_exists() -> None:
    """As reconcilers do: they begin after the checkpoint of the rows that they read."""
    log = MonotonicLog(LaggingLog(MemoryLog(REGION), outdated_answers=2))
    recorded = await add(log.inner.log, WEB, CREATED, UPDATED)
    await followed(log.inner, after=BEGINNING, number=2)  # the leader lags from here on
    log.inner.lag(2)
    batches = log.follow(STREAM, after=recorded[-1].position)
    await anext(batches)
    assert await last(log, WEB) == recorded[-1].position
    await batches.aclose()


async def test_what_was_recorded_or_read_is_in_every_later_answer() -> None:
    lagging = LaggingLog(MemoryLog(REGION), outdated_answers=2)
    log = MonotonicLog(lagging)
    recorded = await log.append(new_event(WEB, CREATED))
    for ask in QUESTIONS:
        lagging.lag(2)
        assert await ask(log, WEB) == recorded.position
    (elsewhere,) = await add(lagging.log, WEB, UPDATED)
    lagging.lag(0)
    assert await latest(log, WEB) == elsewhere.position
    for ask in QUESTIONS:
        lagging.lag(2)
        assert await ask(log, WEB) == elsewhere.position


async def test_resources_touched_in_a_range_are_read_at_their_last_event_in_it() -> None:
    lagging = LaggingLog(MemoryLog(REGION))
    log = MonotonicLog(lagging)
    await add(lagging.log, WEB, CREATED, UPDATED)
    assert await log.touched("workspace", after=BEGINNING, up_to=nth(2)) == {WEB: nth(2)}
    lagging.lag(2)
    assert await current(log, WEB) == nth(2)


@in_virtual_time
async def test_a_position_known_from_elsewhere_is_waited_for_and_never_taken_for_granted() -> None:
    """A caller can name any position: later questions must not depend on it."""
    lagging = LaggingLog(MemoryLog(REGION))
    log = MonotonicLog(lagging)
    await add(lagging.log, WEB, CREATED, UPDATED)
    lagging.lag(3)
    assert await end_reaching(log, STREAM, nth(2)) == nth(2)
    assert await end_reaching(log, STREAM, nth(10**9)) == nth(2)
    assert await last(log, WEB) == nth(2)


async def test_two_streams_are_known_apart() -> None:
    log = MonotonicLog(MemoryLog(REGION, Streams("SECA", "SECA-GLOBAL")))
    tenant = KINDS["tenant"].ref({}, "acme")
    await log.append(new_event(tenant, CREATED))
    await add(log, WEB, CREATED, UPDATED, UPDATED)
    assert await log.end("SECA-GLOBAL") == Position("SECA-GLOBAL", 1)
    assert await log.end("SECA") == Position("SECA", 3)


async def test_a_cache_never_goes_back(log: Log) -> None:
    """Also over a log whose leader has lost what the process has read."""
    lagging = LaggingLog(MemoryLog(REGION))
    cache = ResourceCache(lagging, MemorySnapshots())
    await add(lagging.log, WEB, CREATED)
    before = await cache.current(WEB)
    lagging.lag(1)
    assert await cache.current(WEB) is before


async def test_the_log_stays_unavailable_where_it_does_not_answer() -> None:
    class Silent(MemoryLog):
        async def latest(self, ref: Ref) -> RecordedEvent | None:
            raise LogUnavailable("no leader")

    with pytest.raises(LogUnavailable, match="no leader"):
        await MonotonicLog(Silent(REGION)).latest(ONE)


# --- the projector, which knows positions from its rows


async def projector_at(log: Log, sequence: int) -> Projector:
    stream = SharedStream(log, STREAM)
    nothing = cast(Any, None)
    return Projector(RESOURCES, nothing, stream, nothing, REGION, position=nth(sequence))


async def test_a_projector_whose_rows_are_ahead_of_a_lagging_leader_finds_no_gap() -> None:
    lagging = LaggingLog(MemoryLog(REGION))
    await add(lagging.log, WEB, CREATED, UPDATED)
    lagging.lag(3)
    await (await projector_at(lagging, 2))._compare_with_log()


@in_virtual_time
async def test_a_projector_whose_rows_stay_ahead_of_the_log_finds_a_gap() -> None:
    log = MemoryLog(REGION)
    await add(log, WEB, CREATED, UPDATED)
    with pytest.raises(LogGap, match="the log ends at SECA:2, and the rows are at SECA:3"):
        await (await projector_at(log, 3))._compare_with_log()


@in_virtual_time
async def test_a_leader_that_knows_a_position_without_its_event_has_lost_it() -> None:
    log = MonotonicLog(MemoryLog(REGION))
    await add(log.inner, WEB, CREATED, UPDATED)
    await followed(log, after=BEGINNING, number=2)
    log.inner.lose(nth(2))
    for ask in (last, latest, current):
        with pytest.raises(EventMissing, match="event SECA:2 "):
            await ask(log, WEB)


class ReplacedLeader(LaggingLog):
    """After it has answered how far it is, another server leads, which lags."""

    async def given_up_to(self, stream: str) -> Position:
        given = await super().given_up_to(stream)
        self.lag(ALWAYS)
        return given


@in_virtual_time
async def test_a_leader_that_is_replaced_between_two_questions_has_lost_nothing() -> None:
    """The first server says that it has the position, and the next one does not have it yet."""
    answers = len(ASKED_AGAIN_S) + 1
    for ask in (last, latest):
        replaced = ReplacedLeader(MemoryLog(REGION))
        await add(replaced.log, WEB, CREATED, UPDATED)
        log = MonotonicLog(replaced)
        await followed(log, after=BEGINNING, number=2)
        replaced.lag(answers)
        with pytest.raises(OutdatedAnswer):
            await ask(log, WEB)


async def test_a_cache_takes_a_leader_that_is_replaced_for_one_that_lags() -> None:
    replaced = ReplacedLeader(MemoryLog(REGION))
    await add(replaced.log, WEB, CREATED, UPDATED)
    cache = ResourceCache(replaced, MemorySnapshots())
    before = await cache.current(WEB)
    replaced.lag(1)
    assert await cache.current(WEB) is before
