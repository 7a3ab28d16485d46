"""The past of a resource that the checks after an append need: however it was read, it is what the
whole history says; and a long history is read once, not for every check."""

import random
from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest
from msgspec.structs import replace

from secaplane.command.gather.past import PastReader
from secaplane.eventlog.log import Log
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.snapshots import PAST_BYTES_MAX, SNAPSHOT_INTERVAL, MemorySnapshots
from secaplane.model import past as pasts
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.bounded_cache import CACHED_BYTES_MAX, resource_bytes
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    DeletionRequested,
    RecordedEvent,
    Updated,
)
from secaplane.model.evolve import evolve, fold
from secaplane.model.past import Past, SpecChange, after_events, past_bytes
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Resource, State
from tests.log.new_events import DISK, REGION, new_event
from tests.positions import nth
from tests.scenario import found

JANE = Actor(sub="jane")


class CountingLog(MemoryLog):
    """Counts the events that were read."""

    read_events = 0

    async def read(
        self, ref: object, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        history = await super().read(DISK, after=after, up_to=up_to)
        self.read_events += len(history)
        return history


async def appended(log: Log, event: AnyEvent, actor: Actor = JANE) -> RecordedEvent:
    previous = await log.last(DISK)
    return await log.append(
        msgspec.structs.replace(new_event(DISK, event, previous=previous), actor=actor)
    )


async def lived(log: Log, events: int) -> Resource:
    """A resource that many updates changed, and no report answered."""
    await appended(log, Created(spec={"sizeGB": 1}))
    for number in range(events - 1):
        await appended(log, Updated(spec={"sizeGB": 2 + number % 3}))
    return await the_resource(log)


async def the_resource(log: Log) -> Resource:
    resource = fold(await log.history(DISK))  # type: ignore[arg-type]
    assert resource is not None
    return resource


# --- it says what the whole history says


def random_history(chance: random.Random, length: int) -> list[tuple[AnyEvent, Actor]]:
    """Updates, actions and deletions of callers, reverts of the control plane, and reports that
    are late, on time, or of what a former report has answered."""
    history: list[tuple[AnyEvent, Actor]] = [(Created(spec={"sizeGB": 1}), JANE)]
    chosen: tuple[AnyEvent, Actor]
    deleted = False
    for position in range(2, length + 1):
        observed = chance.randint(1, position - 1)
        state = chance.choice([State.ACTIVE, State.ACTIVE, State.ERROR, State.UPDATING])
        report = found(state, observed_position=observed)
        spec = {"sizeGB": chance.randint(1, 3)}
        callers: list[tuple[AnyEvent, Actor]] = [
            (Updated(spec=spec, labels={"a": str(position)}), JANE),
            (ActionRequested(action="start"), JANE),
        ]
        revert: tuple[AnyEvent, Actor] = (Updated(spec=spec), SYSTEM)
        choices: list[tuple[AnyEvent, Actor]] = [revert, (report, SYSTEM), (report, SYSTEM)]
        if not deleted:
            choices += [*callers, *callers, (DeletionRequested(), chance.choice([JANE, SYSTEM]))]
        chosen = chance.choice(choices)
        deleted = isinstance(chosen[0], DeletionRequested) or (deleted and chosen is not revert)
        history.append(chosen)
    return history


def defined_past(history: Sequence[RecordedEvent]) -> Past:
    """From the definition, one whole pass for each question."""
    now = fold(history)
    assert now is not None
    befores = [fold(history[:n]) for n in range(len(history))]
    reverts = [
        each.position
        for each in history
        if isinstance(each.event, Updated) and each.actor == SYSTEM
    ]
    changes = [
        SpecChange(before and replace(before, conditions=()), each.position)
        for before, each in zip(befores, history, strict=True)
        if isinstance(each.event, Created | Updated)
        and each.position > max([now.observed_position, *reverts])
        and (before is None or before.spec != evolve(before, each).spec)
    ]
    deletions = [
        (before, each.actor)
        for before, each in zip(befores, history, strict=True)
        if isinstance(each.event, DeletionRequested) and before and not before.deleted_at
    ]
    undeleted, deleted_by = deletions[-1] if deletions else (None, SYSTEM)
    active = [
        after
        for each, after in zip(history, [*befores[1:], now], strict=True)
        if after and after.state is State.ACTIVE and type(each.event).__name__ == "StatusReported"
    ]
    return Past(
        now=now,
        changes=tuple(changes),
        changes_bytes=sum(resource_bytes(each.former) for each in changes if each.former),
        active=active[-1] if active else None,
        undeleted=undeleted,
        deleted_by=deleted_by,
    )


@pytest.mark.parametrize("seed", range(60))
async def test_a_past_is_what_the_whole_history_says_wherever_its_reading_stopped(
    seed: int,
) -> None:
    chance, log = random.Random(seed), MemoryLog(REGION)
    for event, actor in random_history(chance, 14):
        await appended(log, event, actor)
    history = await log.read(DISK)
    defined = defined_past(history)
    assert after_events(None, history) == defined
    for stopped in range(1, len(history)):
        stored = msgspec.json.encode(after_events(None, history[:stopped]))
        past = msgspec.json.decode(stored, type=Past)
        assert after_events(past, history[stopped:]) == defined


@pytest.mark.parametrize("seed", range(60))
async def test_the_past_of_an_answered_resource_needs_no_history(seed: int) -> None:
    """The past is not guessed where that history is needed."""
    chance, log = random.Random(seed), MemoryLog(REGION)
    for event, actor in random_history(chance, 14):
        await appended(log, event, actor)
    history = await log.read(DISK)
    for known in range(1, len(history) + 1):
        before = defined_past(history[:known])
        guessed = pasts.past_of(before.now)
        if guessed is None:
            assert before.changes or before.now.state is not State.ACTIVE
            continue
        assert not before.changes
        assert (guessed.active is None) == (before.active is None)
        then = after_events(guessed, history[known:])
        assert then is not None
        assert then.changes == defined_past(history).changes


# --- and a long history is read once


async def test_a_put_after_unanswered_ones_reads_no_event() -> None:
    log = CountingLog(REGION)
    reader = PastReader(log, MemorySnapshots())
    before = None
    for number in range(3 * SNAPSHOT_INTERVAL):
        event = Updated(spec={"sizeGB": number}) if before else Created(spec={"sizeGB": 1})
        now = evolve(before, await appended(log, event))
        past = await reader.after_put(before, now)
        assert past is not None
        before = now
    assert past == await reader.read(now)
    assert past == defined_past([each async for each in every(log)])
    assert log.read_events == 0


async def every(log: Log) -> AsyncGenerator[RecordedEvent]:
    for each in await log.history(DISK):
        assert isinstance(each, RecordedEvent)
        yield each


async def test_another_process_reads_only_what_it_has_not_read() -> None:
    log, snapshots = CountingLog(REGION), MemorySnapshots()
    await lived(log, 5 * SNAPSHOT_INTERVAL)
    reader = PastReader(log, snapshots)
    await reader.read(await the_resource(log))
    assert log.read_events == 5 * SNAPSHOT_INTERVAL
    for more in range(1, 4):
        await appended(log, Updated(spec={"sizeGB": 10 * more}))
        await reader.read(await the_resource(log))
        assert log.read_events == 5 * SNAPSHOT_INTERVAL + more


async def test_a_process_that_starts_reads_from_what_another_one_saved() -> None:
    log, snapshots = CountingLog(REGION), MemorySnapshots()
    await lived(log, 5 * SNAPSHOT_INTERVAL)
    first = await PastReader(log, snapshots).read(await the_resource(log))
    log.read_events = 0
    assert await PastReader(log, snapshots).read(await the_resource(log)) == first
    await appended(log, Updated(spec={"sizeGB": 9}))
    last = await PastReader(log, snapshots).read(await the_resource(log))
    assert len(last.changes) == len(first.changes) + 1
    assert log.read_events == 1


async def test_a_past_of_a_former_life_or_of_a_later_moment_is_not_used() -> None:
    log, snapshots = CountingLog(REGION), MemorySnapshots()
    await lived(log, 2 * SNAPSHOT_INTERVAL)
    then = await the_resource(log)
    await appended(log, Updated(spec={"sizeGB": 9}))
    reader = PastReader(log, snapshots)
    newest = await reader.read(await the_resource(log))
    earlier = await reader.read(then)
    assert (earlier.now, len(earlier.changes)) == (then, len(newest.changes) - 1)
    again = msgspec.structs.replace(newest.now, life=nth(999), position=nth(999))
    with pytest.raises(Exception, match="no history"):
        await reader.read(again)


# --- bounded in bytes


async def test_a_past_counts_the_bytes_of_its_states() -> None:
    log = MemoryLog(REGION)
    await appended(log, Created(spec={"sizeGB": 1, "note": "x" * 100_000}))
    await appended(log, Updated(spec={"sizeGB": 2}))
    past = after_events(None, await log.read(DISK))
    assert past is not None
    assert past_bytes(past) > 100_000
    await appended(log, found(State.ACTIVE, observed_position=2))
    answered = after_events(past, (await log.read(DISK))[2:])
    assert answered is not None
    assert past_bytes(answered) < 10_000


async def test_large_unanswered_changes_are_neither_held_nor_saved() -> None:
    log, snapshots = CountingLog(REGION), MemorySnapshots()
    reader, before = PastReader(log, snapshots), None
    size = CACHED_BYTES_MAX // (SNAPSHOT_INTERVAL // 2)
    for number in range(SNAPSHOT_INTERVAL):
        spec = {"sizeGB": number, "note": "x" * size}
        event = Updated(spec=spec) if before else Created(spec=spec)
        now = evolve(before, await appended(log, event))
        if await reader.after_put(before, now) is None:
            break
        before = now
    assert number > SNAPSHOT_INTERVAL // 3
    assert log.read_events == 0
    past = await reader.read(now)
    assert past_bytes(past) > CACHED_BYTES_MAX
    assert len(past.changes) == number + 1
    assert len(msgspec.json.encode(past)) > PAST_BYTES_MAX
    assert await snapshots.load_past(DISK) is None


def test_nothing_of_no_history() -> None:
    assert after_events(None, ()) is None
