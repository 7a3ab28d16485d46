"""Appends that share a sync: on a real server, and with scripted batches."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from secaplane.eventlog.codec import EVENT_BYTES_MAX, NewEvent
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.jetstream.shared_sync import (
    BATCH_MAX,
    BATCH_MIN,
    LANES_MAX,
    SharedSyncAppends,
)
from secaplane.eventlog.log import LogUnavailable, VersionConflict
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.errors import ContentTooLarge
from secaplane.model.events import Created, RecordedEvent, Updated
from secaplane.model.shape import Ref
from tests.log.new_events import IDS, REGION, new_event
from tests.positions import nth
from tests.servers import STREAM, connected, emptied

MANY = 100


def volumes(number: int) -> list[Ref]:
    return [KINDS["block-storage"].ref(IDS, f"v{n}") for n in range(number)]


# --- on JetStream


@pytest.fixture
async def shared(nats_url: str) -> AsyncIterator[JetStreamLog]:
    async with connected(nats_url) as client:
        await emptied(client)
        log = JetStreamLog(client, streams=Streams(STREAM), region=REGION, shares_syncs=True)
        await log.prepare()
        async with asyncio.TaskGroup() as group:
            sharing = group.create_task(log.share_syncs())
            yield log
            sharing.cancel()


async def test_each_event_is_recorded_once_at_the_position_that_is_answered(
    shared: JetStreamLog,
) -> None:
    events = [new_event(ref, Created(spec={"n": n})) for n, ref in enumerate(volumes(MANY))]
    recorded = await asyncio.gather(*map(shared.append, events))
    for written, answered in zip(events, recorded, strict=True):
        assert answered == written.at(answered.position)
        assert await shared.read(written.ref) == (answered,)
    assert await shared.end(STREAM) == nth(MANY)


async def test_a_conflict_of_one_resource_concerns_no_other(shared: JetStreamLog) -> None:
    refs = volumes(MANY)
    await shared.append(new_event(refs[40], Created(spec={})))
    events = [new_event(ref, Created(spec={})) for ref in refs]
    answers = await asyncio.gather(*map(shared.append, events), return_exceptions=True)
    conflicts = [n for n, each in enumerate(answers) if isinstance(each, VersionConflict)]
    assert conflicts == [40]
    assert await shared.end(STREAM) == nth(MANY)


async def test_two_events_of_one_resource_are_in_order(shared: JetStreamLog) -> None:
    refs = volumes(MANY)
    first = await asyncio.gather(*(shared.append(new_event(ref, Created(spec={}))) for ref in refs))
    twice = [each for each in first for _ in range(2)]
    answers = await asyncio.gather(
        *(shared.append(new_event(e.ref, Updated(spec={}), previous=e.position)) for e in twice),
        return_exceptions=True,
    )
    assert sum(isinstance(each, VersionConflict) for each in answers) == MANY
    assert await shared.end(STREAM) == nth(2 * MANY)


# --- scripted


class Scripted:
    """A log that answers when it is allowed to, and what it was given."""

    def __init__(self, *, refuses: bool = False, silent: bool = False) -> None:
        self.refuses, self.silent = refuses, silent
        self.alone: list[Ref] = []
        self.batches: list[list[Ref]] = []
        self.open = asyncio.Event()
        self.appends = SharedSyncAppends(self._one, self._batch, lambda kind: STREAM)
        self._sequence = 0

    async def _one(self, new_event: NewEvent) -> RecordedEvent:
        self.alone.append(new_event.ref)
        await self.open.wait()
        return self._recorded(new_event)

    async def _batch(self, new_events: Sequence[NewEvent]) -> Sequence[RecordedEvent] | None:
        self.batches.append([each.ref for each in new_events])
        if self.silent:
            raise LogUnavailable("no answer")
        return None if self.refuses else [*map(self._recorded, new_events)]

    def _recorded(self, new_event: NewEvent) -> RecordedEvent:
        self._sequence += 1
        return new_event.at(nth(self._sequence))

    async def appended(self, refs: Sequence[Ref]) -> list[RecordedEvent | BaseException]:
        """The first ones keep the log busy while the others come."""
        tasks = await self.begun(refs)
        return await self.ended(tasks)

    async def ended(
        self, tasks: Sequence[asyncio.Task[RecordedEvent]]
    ) -> list[RecordedEvent | BaseException]:
        self.open.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        self.running.cancel()
        return answers

    async def begun(self, refs: Sequence[Ref]) -> list[asyncio.Task[RecordedEvent]]:
        self.running = asyncio.create_task(self.appends.run())
        tasks = []
        for some in (refs[:LANES_MAX], refs[LANES_MAX:]):
            events = [new_event(ref, Created(spec={})) for ref in some]
            tasks += [asyncio.create_task(self.appends.append(each)) for each in events]
            await asyncio.sleep(0.01)
        return tasks


async def test_few_appends_go_one_by_one() -> None:
    log = Scripted()
    refs = volumes(LANES_MAX + BATCH_MIN - 1)
    answers = await log.appended(refs)
    assert [each.ref for each in answers if isinstance(each, RecordedEvent)] == refs
    assert log.batches == []


async def test_what_comes_while_the_log_is_busy_shares_a_batch() -> None:
    log = Scripted()
    refs = volumes(LANES_MAX + BATCH_MAX + BATCH_MIN)
    answers = await log.appended(refs)
    assert [each.ref for each in answers if isinstance(each, RecordedEvent)] == refs
    assert log.alone == refs[:LANES_MAX]
    assert sorted(map(len, log.batches)) == [BATCH_MIN, BATCH_MAX]


async def test_a_refused_batch_is_appended_one_by_one() -> None:
    log = Scripted(refuses=True)
    refs = volumes(LANES_MAX + BATCH_MIN)
    answers = await log.appended(refs)
    assert [each.ref for each in answers if isinstance(each, RecordedEvent)] == refs
    assert sorted(log.alone) == sorted(refs)


async def test_a_batch_without_an_answer_is_unknown_to_each_of_its_callers() -> None:
    log = Scripted(silent=True)
    answers = await log.appended(volumes(LANES_MAX + BATCH_MIN))
    assert sum(isinstance(each, LogUnavailable) for each in answers) == BATCH_MIN
    assert len(log.alone) == LANES_MAX


async def test_a_batch_has_at_most_one_event_of_a_resource() -> None:
    log = Scripted()
    refs = volumes(LANES_MAX + BATCH_MIN)
    await log.appended([*refs, *refs[-BATCH_MIN:]])
    assert [len(set(batch)) for batch in log.batches] == [BATCH_MIN, BATCH_MIN]


async def test_a_caller_that_is_cancelled_leaves_the_others_their_places() -> None:
    log = Scripted()
    refs = volumes(LANES_MAX + 3 * BATCH_MIN)
    tasks = await log.begun(refs)
    for task in tasks[-BATCH_MIN:]:
        task.cancel()
    answers = await log.ended(tasks)
    recorded = [each.ref for each in answers if isinstance(each, RecordedEvent)]
    assert recorded == refs[:-BATCH_MIN]


async def test_an_event_that_is_too_large_is_refused_alone(shared: JetStreamLog) -> None:
    events = [new_event(ref, Created(spec={})) for ref in volumes(MANY)]
    large = Created(spec={"text": "x" * (EVENT_BYTES_MAX + 1)})
    events[50] = new_event(events[50].ref, large)
    answers = await asyncio.gather(*map(shared.append, events), return_exceptions=True)
    assert [n for n, each in enumerate(answers) if isinstance(each, ContentTooLarge)] == [50]
    assert await shared.end(STREAM) == nth(MANY - 1)
