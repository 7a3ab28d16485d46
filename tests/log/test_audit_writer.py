"""The audit writer neither waits nor fails, and counts what it does not publish."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from secaplane.audit.entries import Entry, EntryCaller, entry
from secaplane.audit.entry_limits import BURST, PER_S
from secaplane.audit.stream import PendingEntry, PublishResult
from secaplane.audit.writer import (
    BATCH_MAX,
    FLUSH_S_MAX,
    QUEUE_MAX,
    REMARK_S,
    AuditWriter,
    running,
)
from secaplane.eventlog.log import LogUnavailable
from tests.virtual_time import in_virtual_time

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Stream:
    """A scripted audit stream."""

    def __init__(self, remark: str = "") -> None:
        self.stored: dict[str, Entry] = {}
        self.available, self.answers, self.rejects = True, True, False
        self.batches: list[int] = []
        self._remark = remark

    async def prepare(self) -> str:
        if not self.available:
            raise LogUnavailable("not yet")
        return self._remark

    async def publish(self, batch: Sequence[PendingEntry]) -> list[PublishResult]:
        self.batches.append(len(batch))
        await asyncio.sleep(0.01)
        if not self.available:
            return [PublishResult.UNANSWERED] * len(batch)
        if self.rejects:
            return [PublishResult.REJECTED] * len(batch)
        self.stored |= dict(batch)
        return [PublishResult.STORED if self.answers else PublishResult.UNANSWERED] * len(batch)

    def of(self, sub: str) -> list[Entry]:
        return [each for each in self.stored.values() if each.caller.sub == sub]


def refused(sub: str, number: int = 0) -> Entry:
    caller = EntryCaller("https://id.example.org", sub, "t")
    path = f"/{number}"
    return entry(
        "forbidden", time=WHEN, request="r", client_address="", caller=caller, verb="get", path=path
    )


def writer_of(stream: Stream) -> AuditWriter:
    return AuditWriter(stream.publish, stream.prepare, clock=asyncio.get_running_loop().time)


async def quiet(writer: AuditWriter) -> None:
    async with asyncio.timeout(1000):
        while True:
            if writer.pending == 0:
                return
            await asyncio.sleep(0.1)


@in_virtual_time
async def test_recorded_entries_reach_the_stream_in_order() -> None:
    stream = Stream()
    writer = writer_of(stream)
    async with running(writer):
        for n in range(BURST):
            writer.record(refused("jane", n))
        assert stream.stored == {}
        await quiet(writer)
    assert [each.path for each in stream.of("jane")] == [f"/{n}" for n in range(BURST)]
    assert writer.figures == {"recorded": BURST, "dropped": 0, "lost": 0, "pending": 0}
    assert writer.remarks == []


@in_virtual_time
async def test_a_flood_of_one_caller_is_counted_and_others_are_recorded() -> None:
    stream, flood, seconds = Stream(), 20_000, 10
    writer = writer_of(stream)
    async with running(writer):
        for n in range(flood):
            writer.record(refused("mallory", n))
            if n % 1000 == 0:
                writer.record(refused(f"jane-{n}"))
            if n % (flood // seconds) == 0:
                await asyncio.sleep(1)
        await quiet(writer)
    mallory = stream.of("mallory")
    assert BURST < len(mallory) <= BURST + PER_S * (seconds + 2)
    assert sum(1 + each.dropped for each in mallory) == flood
    assert mallory[-1].path == f"/{flood - 1}"
    assert sum(len(stream.of(f"jane-{n}")) for n in range(0, flood, 1000)) == flood // 1000
    assert writer.dropped == flood - len(mallory)
    assert writer.lost == 0
    (remark,) = writer.remarks
    assert str(writer.dropped) in remark
    await asyncio.sleep(REMARK_S + seconds)
    assert writer.remarks == []


@in_virtual_time
async def test_entries_are_published_in_batches_at_a_bounded_rate() -> None:
    stream, began = Stream(), asyncio.get_running_loop().time()
    writer = writer_of(stream)
    async with running(writer):
        for n in range(QUEUE_MAX):
            writer.record(refused(f"caller-{n}"))
        await quiet(writer)
        took_s = asyncio.get_running_loop().time() - began
    assert max(stream.batches) == BATCH_MAX
    assert took_s >= QUEUE_MAX / 1000
    assert writer.recorded == len(stream.stored) == QUEUE_MAX


@in_virtual_time
async def test_a_full_queue_counts_what_it_loses() -> None:
    stream = Stream()
    writer = writer_of(stream)
    for n in range(QUEUE_MAX):
        writer.record(refused(f"caller-{n}"))
    for _ in range(3):
        writer.record(refused("late"))
    assert writer.lost == 3
    async with running(writer):
        await quiet(writer)
        writer.record(refused("late"))
        await quiet(writer)
        (late,) = stream.of("late")
        assert late.dropped == 3
        assert "3 audit entries" in writer.remarks[0]


@in_virtual_time
async def test_entries_are_pending_while_the_stream_does_not_answer() -> None:
    stream = Stream()
    writer = writer_of(stream)
    stream.available = False
    async with running(writer):
        for n in range(30):
            writer.record(refused("jane", n))
        await asyncio.sleep(60)
        assert writer.pending == 30
        assert "does not answer" in writer.remarks[0]
        assert set(stream.batches[1:]) == {1}  # one entry a batch
        stream.available = True
        await quiet(writer)
    assert [each.path for each in stream.of("jane")] == [f"/{n}" for n in range(30)]
    assert (writer.lost, writer.remarks) == (0, [])


@in_virtual_time
async def test_an_unanswered_entry_is_published_again_under_its_message_id() -> None:
    stream = Stream()
    writer = writer_of(stream)
    stream.answers = False
    async with running(writer):
        for n in range(10):
            writer.record(refused("jane", n))
        await asyncio.sleep(5)
        assert writer.recorded == 0
        stream.answers = True
        await quiet(writer)
    assert len(stream.stored) == writer.recorded == 10


@in_virtual_time
async def test_a_rejected_entry_is_lost() -> None:
    stream = Stream()
    writer = writer_of(stream)
    stream.rejects = True
    async with running(writer):
        writer.record(refused("jane"))
        await quiet(writer)
    assert writer.figures == {"recorded": 0, "dropped": 0, "lost": 1, "pending": 0}


@in_virtual_time
async def test_pending_entries_are_flushed_at_the_end() -> None:
    """Also the held entry of a flood, with its count."""
    stream = Stream()
    writer = writer_of(stream)
    async with running(writer):
        for n in range(5 * BURST):
            writer.record(refused("mallory", n))
        for n in range(1000):
            writer.record(refused(f"caller-{n}"))
    assert sum(1 + each.dropped for each in stream.of("mallory")) == 5 * BURST
    assert len(stream.stored) == BURST + 1 + 1000
    assert writer.pending == writer.lost == 0


@in_virtual_time
async def test_a_cancelled_process_flushes_for_a_bounded_time() -> None:
    stream, loop = Stream(), asyncio.get_running_loop()
    writer = writer_of(stream)

    async def process() -> None:
        async with running(writer):
            await asyncio.Event().wait()

    for there in (True, False):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(process())
            await asyncio.sleep(1)
            stream.available = there
            writer.record(refused("jane", int(there)))
            began = loop.time()
            task.cancel()
        assert loop.time() - began <= FLUSH_S_MAX + 0.1
    assert [each.path for each in stream.of("jane")] == ["/1"]
    assert writer.figures == {"recorded": 1, "dropped": 0, "lost": 1, "pending": 0}


@in_virtual_time
async def test_a_difference_in_the_configuration_is_remarked_once_the_stream_exists() -> None:
    stream = Stream("it has other limits")
    writer = writer_of(stream)
    stream.available = False
    async with running(writer):
        await asyncio.sleep(5)
        assert writer.remarks == []
        stream.available = True
        await asyncio.sleep(5)
        assert writer.remarks == ["it has other limits"]


@in_virtual_time
async def test_the_rate_limit_is_for_each_caller_and_type() -> None:
    stream = Stream()
    writer = writer_of(stream)
    async with running(writer):
        for _ in range(2 * BURST):
            writer.record(replace(refused("jane"), type="read"))
        writer.record(refused("jane"))
        await quiet(writer)
    (forbidden,) = [each for each in stream.of("jane") if each.type == "forbidden"]
    assert forbidden.dropped == 0
