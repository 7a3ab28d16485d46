"""The door to the second stream: it neither waits nor fails, and it counts."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from secaplane.audit.entries import Entry, EntryCaller, entry
from secaplane.audit.stream import PendingEntry, PublishResult
from secaplane.audit.writer import (
    BATCH_MAX,
    BURST,
    FLUSH_S_MAX,
    PER_S,
    QUEUE_MAX,
    REMARKED_S,
    AuditWriter,
    running,
)
from secaplane.eventlog.log import LogUnavailable
from tests.virtual_time import in_virtual_time

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Stream:
    """A stream as a list."""

    def __init__(self, remark: str = "") -> None:
        self.kept: dict[str, Entry] = {}
        self.there, self.answers, self.refuses = True, True, False
        self.batches: list[int] = []
        self._remark = remark

    async def prepare(self) -> str:
        if not self.there:
            raise LogUnavailable("not yet")
        return self._remark

    async def tell(self, batch: Sequence[PendingEntry]) -> list[PublishResult]:
        self.batches.append(len(batch))
        await asyncio.sleep(0.01)
        if not self.there:
            return [PublishResult.UNANSWERED] * len(batch)
        if self.refuses:
            return [PublishResult.REFUSED] * len(batch)
        self.kept |= dict(batch)
        return [PublishResult.KEPT if self.answers else PublishResult.UNANSWERED] * len(batch)

    def of(self, sub: str) -> list[Entry]:
        return [each for each in self.kept.values() if each.caller.sub == sub]


def refused(sub: str, number: int = 0) -> Entry:
    caller = EntryCaller("https://id.example.org", sub, "t")
    path = f"/{number}"
    return entry(
        "forbidden", time=WHEN, request="r", source="", caller=caller, verb="get", path=path
    )


def dependencies(stream: Stream) -> AuditWriter:
    return AuditWriter(stream.tell, stream.prepare, clock=asyncio.get_running_loop().time)


async def quiet(refusals: AuditWriter) -> None:
    async with asyncio.timeout(1000):
        while True:
            if refusals.waiting == 0:
                return
            await asyncio.sleep(0.1)


@in_virtual_time
async def test_what_is_recorded_reaches_the_stream_in_order() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    async with running(refusals):
        for n in range(BURST):
            refusals.record(refused("jane", n))
        assert stream.kept == {}
        await quiet(refusals)
    assert [each.path for each in stream.of("jane")] == [f"/{n}" for n in range(BURST)]
    assert refusals.figures == {"recorded": BURST, "dropped": 0, "lost": 0, "waiting": 0}
    assert refusals.remarks == []


@in_virtual_time
async def test_a_flood_of_one_is_summed_up_and_others_are_heard() -> None:
    stream, flood, seconds = Stream(), 20_000, 10
    refusals = dependencies(stream)
    async with running(refusals):
        for n in range(flood):
            refusals.record(refused("mallory", n))
            if n % 1000 == 0:
                refusals.record(refused(f"jane-{n}"))
            if n % (flood // seconds) == 0:
                await asyncio.sleep(1)
        await quiet(refusals)
    mallory = stream.of("mallory")
    assert BURST < len(mallory) <= BURST + PER_S * (seconds + 2)
    assert sum(1 + each.dropped for each in mallory) == flood
    assert mallory[-1].path == f"/{flood - 1}"
    assert sum(len(stream.of(f"jane-{n}")) for n in range(0, flood, 1000)) == flood // 1000
    assert refusals.dropped == flood - len(mallory)
    assert refusals.lost == 0
    (remark,) = refusals.remarks
    assert str(refusals.dropped) in remark
    await asyncio.sleep(REMARKED_S + seconds)
    assert refusals.remarks == []


@in_virtual_time
async def test_many_at_once_go_in_batches_and_not_faster_than_they_may() -> None:
    stream, began = Stream(), asyncio.get_running_loop().time()
    refusals = dependencies(stream)
    async with running(refusals):
        for n in range(QUEUE_MAX):
            refusals.record(refused(f"caller-{n}"))
        await quiet(refusals)
        took_s = asyncio.get_running_loop().time() - began
    assert max(stream.batches) == BATCH_MAX
    assert took_s >= QUEUE_MAX / 1000
    assert refusals.recorded == len(stream.kept) == QUEUE_MAX


@in_virtual_time
async def test_a_full_queue_loses_and_counts() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    for n in range(QUEUE_MAX):
        refusals.record(refused(f"caller-{n}"))
    for _ in range(3):
        refusals.record(refused("late"))
    assert refusals.lost == 3
    async with running(refusals):
        await quiet(refusals)
        refusals.record(refused("late"))
        await quiet(refusals)
        (late,) = stream.of("late")
        assert late.dropped == 3
        assert "3 refusals" in refusals.remarks[0]


@in_virtual_time
async def test_a_stream_that_is_away_is_waited_for() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    stream.there = False
    async with running(refusals):
        for n in range(30):
            refusals.record(refused("jane", n))
        await asyncio.sleep(60)
        assert refusals.waiting == 30
        assert "does not answer" in refusals.remarks[0]
        assert set(stream.batches[1:]) == {1}  # one knocks for all
        stream.there = True
        await quiet(refusals)
    assert [each.path for each in stream.of("jane")] == [f"/{n}" for n in range(30)]
    assert (refusals.lost, refusals.remarks) == (0, [])


@in_virtual_time
async def test_what_was_told_without_an_answer_is_told_again_under_its_name() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    stream.answers = False
    async with running(refusals):
        for n in range(10):
            refusals.record(refused("jane", n))
        await asyncio.sleep(5)
        assert refusals.recorded == 0
        stream.answers = True
        await quiet(refusals)
    assert len(stream.kept) == refusals.recorded == 10


@in_virtual_time
async def test_what_the_stream_will_not_have_is_lost() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    stream.refuses = True
    async with running(refusals):
        refusals.record(refused("jane"))
        await quiet(refusals)
    assert refusals.figures == {"recorded": 0, "dropped": 0, "lost": 1, "waiting": 0}


@in_virtual_time
async def test_at_the_end_what_waits_still_goes() -> None:
    """Also the last one of a flood, with its count."""
    stream = Stream()
    refusals = dependencies(stream)
    async with running(refusals):
        for n in range(5 * BURST):
            refusals.record(refused("mallory", n))
        for n in range(1000):
            refusals.record(refused(f"caller-{n}"))
    assert sum(1 + each.dropped for each in stream.of("mallory")) == 5 * BURST
    assert len(stream.kept) == BURST + 1 + 1000
    assert refusals.waiting == refusals.lost == 0


@in_virtual_time
async def test_a_cancelled_process_flushes_too_but_not_for_ever() -> None:
    stream, loop = Stream(), asyncio.get_running_loop()
    refusals = dependencies(stream)

    async def process() -> None:
        async with running(refusals):
            await asyncio.Event().wait()

    for there in (True, False):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(process())
            await asyncio.sleep(1)
            stream.there = there
            refusals.record(refused("jane", int(there)))
            began = loop.time()
            task.cancel()
        assert loop.time() - began <= FLUSH_S_MAX + 0.1
    assert [each.path for each in stream.of("jane")] == ["/1"]
    assert refusals.figures == {"recorded": 1, "dropped": 0, "lost": 1, "waiting": 0}


@in_virtual_time
async def test_what_is_not_right_with_the_stream_is_remarked_once_it_is_there() -> None:
    stream = Stream("it has other limits")
    refusals = dependencies(stream)
    stream.there = False
    async with running(refusals):
        await asyncio.sleep(5)
        assert refusals.remarks == []
        stream.there = True
        await asyncio.sleep(5)
        assert refusals.remarks == ["it has other limits"]


@in_virtual_time
async def test_a_caller_is_bounded_for_each_type() -> None:
    stream = Stream()
    refusals = dependencies(stream)
    async with running(refusals):
        for _ in range(2 * BURST):
            refusals.record(replace(refused("jane"), type="read"))
        refusals.record(refused("jane"))
        await quiet(refusals)
    (forbidden,) = [each for each in stream.of("jane") if each.type == "forbidden"]
    assert forbidden.dropped == 0
