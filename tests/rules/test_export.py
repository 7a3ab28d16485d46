"""The export delivers each event, writes its position down after the sink has it, reads no further
than the sink takes, and repeats with the same ids."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from secaplane.audit.siem.export import DELIVERY_BYTES_MAX, DELIVERY_MAX, Export, deliveries
from secaplane.audit.siem.export_state import (
    ExportState,
    StateFile,
    StateUnusable,
    positions_of,
)
from secaplane.audit.siem.records import SiemRecord, gap
from secaplane.audit.siem.sinks import ExportedLine, FileSink, SinkUnavailable, joined
from secaplane.eventlog.event_seals import ClearEvents
from secaplane.eventlog.log import Followed, RawEvent
from secaplane.model.position import BEGINNING, Position
from tests.virtual_time import in_virtual_time

EVENTS, BATCH = 40, 7


class KnownStreams:
    """Streams whose events are known, in batches."""

    def __init__(self, *names: str) -> None:
        self.names, self.read = names, 0

    async def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        at = after.sequence
        while at < EVENTS:
            numbers = range(at + 1, min(at + BATCH, EVENTS) + 1)
            self.read += len(numbers)
            yield [RawEvent(Position(stream, n), "seca.eu-1.0a.x.y", {}, b"{}") for n in numbers]
            at = numbers[-1]
        while True:
            yield ()

    async def opened(self, batch: Sequence[RawEvent]) -> Sequence[Followed]:
        return await ClearEvents().shown(batch)

    async def has_more(self, stream: str, after: Position) -> bool:
        return after.sequence < EVENTS


class FlakySink:
    """Takes every third delivery, and keeps what it got in the others, too."""

    size = 0

    def __init__(self) -> None:
        self.calls, self.got = 0, list[str]()
        self.closed = False

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        self.calls += 1
        self.got += [each.record.id for each in lines]
        if self.calls % 3:
            raise SinkUnavailable("not now")

    async def close(self) -> None:
        self.closed = True


def write(record: SiemRecord) -> bytes:
    return record.id.encode()


def begins(*streams: str) -> dict[str, Position]:
    return dict.fromkeys(streams, BEGINNING)


@in_virtual_time
async def test_a_refused_delivery_is_repeated_with_the_same_ids_and_nothing_is_skipped() -> None:
    sink, streams = FlakySink(), KnownStreams("A", "B")
    exporting = Export(streams, sink, write, positions=begins("A", "B"))
    await exporting.run(to_the_end=True)
    assert set(sink.got) == {f"{name}:{n}" for name in "AB" for n in range(1, EVENTS + 1)}
    assert exporting.failed > 0
    assert sink.closed


async def test_a_sink_that_takes_nothing_stops_the_reading() -> None:
    class HeldSink(FlakySink):
        async def deliver(self, lines: Sequence[ExportedLine]) -> None:
            await asyncio.Event().wait()

    streams = KnownStreams("A", "B")
    exporting = Export(streams, HeldSink(), write, positions=begins("A", "B"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await exporting.run()
    assert streams.read <= 2 * BATCH
    assert exporting.positions == begins("A", "B")


async def test_the_position_is_written_after_the_sink_has_the_event(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state")
    state.take()

    class ComparingSink(FlakySink):
        async def deliver(self, lines: Sequence[ExportedLine]) -> None:
            kept = StateFile(tmp_path / "copy")
            (tmp_path / "copy").write_bytes((tmp_path / "state").read_bytes())
            known = positions_of(kept.take() or ExportState()).get("A", BEGINNING)
            kept.close()
            assert known.sequence == len(self.got)
            self.got += [each.record.id for each in lines]

    exporting = Export(
        KnownStreams("A"), ComparingSink(), write, positions=begins("A"), state=state
    )
    await exporting.run(to_the_end=True)
    state.close()
    again = StateFile(tmp_path / "state").take()
    assert again == ExportState(positions=f"A:{EVENTS}", bytes=0, complete=True)


def lines(number: int, size: int = 3) -> list[ExportedLine]:
    return [ExportedLine(gap("A", n, n), b"x" * size) for n in range(1, number + 1)]


def test_deliveries_are_bounded_in_number_and_bytes() -> None:
    assert [len(each) for each in deliveries(lines(2 * DELIVERY_MAX + 1))] == [500, 500, 1]
    large = [*deliveries(lines(3, DELIVERY_BYTES_MAX))]
    assert [len(each) for each in large] == [1, 1, 1]


# --- files


async def filled(path: Path, state: ExportState | None, number: int) -> FileSink:
    sink = FileSink(path, state)
    await sink.deliver(lines(number))
    return sink


async def test_a_file_is_cut_to_what_its_state_says(tmp_path: Path) -> None:
    path = tmp_path / "events"
    sink = await filled(path, None, 5)
    kept = ExportState(bytes=sink.size, complete=False)
    path.write_bytes(path.read_bytes() + b"half a li")
    again = FileSink(path, kept)
    await again.deliver(lines(1))
    await again.close()
    await sink.close()
    assert path.read_bytes() == joined(lines(5))  # closed last, with the size that it knows


async def test_a_file_without_a_state_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"of something else")
    with pytest.raises(StateUnusable, match="has no state file"):
        FileSink(path, None)
    assert path.read_bytes() == b"of something else"


async def test_a_file_that_was_moved_away_begins_anew_only_if_it_was_complete(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events"
    with pytest.raises(StateUnusable, match="cut short"):
        FileSink(path, ExportState(bytes=9, complete=False))
    sink = FileSink(path, ExportState(bytes=9, complete=True))
    assert sink.size == 0
    await sink.close()


async def test_a_file_that_has_become_shorter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events"
    sink = await filled(path, None, 5)
    path.write_bytes(b"")
    with pytest.raises(StateUnusable, match="shorter"):
        await sink.deliver(lines(1))
    await sink.close()
    path.write_bytes(b"abc")
    with pytest.raises(StateUnusable, match="something else changed it"):
        FileSink(path, ExportState(bytes=9, complete=True))


def test_one_state_file_belongs_to_one_export(tmp_path: Path) -> None:
    first, second = StateFile(tmp_path / "state"), StateFile(tmp_path / "state")
    assert first.take() is None
    with pytest.raises(StateUnusable, match="in use"):
        second.take()
    first.close()
    (tmp_path / "state").write_bytes(b"{")
    with pytest.raises(StateUnusable, match="no state"):
        second.take()
