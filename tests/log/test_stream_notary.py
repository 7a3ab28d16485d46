"""The notary of one stream while it runs: what it signs, what it waits for, what stops it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secaplane.audit.notary import log_files, stream_comparison, stream_notary
from secaplane.audit.notary.log_files import FolderFiles
from secaplane.audit.notary.publisher import Publisher
from secaplane.audit.notary.stream_notary import StreamNotary
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.losses.holes import Acknowledgement, Hole
from secaplane.model.position import Position, position
from tests.log.test_notary_folder import IDENTITY, STREAM, Notary, events, expected
from tests.rules.tlog_scene import ORIGIN

WAIT_S_MAX = 20.0


class ListedSource:
    """A stream that is a list; sequences in `lost` are skipped."""

    def __init__(self) -> None:
        self.events = list[tuple[str, bytes]]()
        self.lost = set[int]()
        self.declared = list[Acknowledgement]()

    async def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        at = after.sequence
        while True:
            batch = [
                RawEvent(Position(stream, sequence), subject, {}, data)
                for sequence, (subject, data) in enumerate(self.events, 1)
                if sequence > at and sequence not in self.lost
            ]
            at = batch[-1].position.sequence if batch else at
            yield batch
            await asyncio.sleep(0.01)

    async def given_up_to(self, stream: str) -> Position:
        return position(stream, len(self.events))

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        return self.declared

    def declare(self, first: int, last: int) -> None:
        hole = Hole(STREAM, first, last)
        self.declared.append(Acknowledgement(hole, "operator", datetime.now(UTC), "lost"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_notary, "RETRY_S", 0.02)
    monkeypatch.setattr(stream_notary, "END_INTERVAL_S", 0.02)


@asynccontextmanager
async def running(
    source: ListedSource, folder: Path, *, compare_every_s: float = 0.0
) -> AsyncIterator[StreamNotary]:
    publisher = Publisher(TileFolder(FolderFiles(folder), STREAM), IDENTITY, STREAM)
    notary = StreamNotary(
        source, publisher, STREAM, interval_s=0.02, compare_every_s=compare_every_s
    )
    task = asyncio.create_task(notary.run())
    try:
        yield notary
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await notary.close()


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def signed(notary: StreamNotary, size: int) -> None:
    await reached(lambda: notary.published.size >= size)


async def reason(notary: StreamNotary, part: str) -> None:
    await reached(lambda: part in notary.reason)


async def test_every_event_is_signed_for_and_a_restart_goes_on(tmp_path: Path) -> None:
    source = ListedSource()
    async with running(source, tmp_path) as notary:
        for count in (1, 300, 700):
            source.events = events(count)
            await signed(notary, count)
            assert notary.published == expected(source.events)
            assert notary.reason == ""
    source.events = events(900)
    async with running(source, tmp_path) as notary:
        await signed(notary, 900)
    assert Notary(tmp_path).checkpoint() == expected(source.events)


async def test_an_empty_log_has_a_checkpoint(tmp_path: Path) -> None:
    async with running(ListedSource(), tmp_path) as notary:
        await reached(lambda: not notary.reason)
    assert Notary(tmp_path).checkpoint().size == 0


async def test_a_close_publishes_what_is_left_and_stores_the_heads(tmp_path: Path) -> None:
    source = ListedSource()
    source.events = events(40)
    async with running(source, tmp_path) as notary:
        await signed(notary, 1)
    again = Notary(tmp_path)
    assert again.log.next == again.checkpoint().size + 1 == 41


async def test_a_hole_waits_for_the_declaration_of_an_operator(tmp_path: Path) -> None:
    source = ListedSource()
    source.events, source.lost = events(10), {4, 5, 6}
    async with running(source, tmp_path) as notary:
        await reason(notary, "SECA:4-6 is missing in the stream: `secaplane log acknowledge")
        source.declare(4, 5)
        await reason(notary, "SECA:6 is missing")
        assert notary.published.size <= 5
        source.declare(6, 6)
        await signed(notary, 10)
        assert notary.reason == ""


async def test_a_stream_that_was_cut_stops_the_notary(tmp_path: Path) -> None:
    source = ListedSource()
    source.events = events(10)
    async with running(source, tmp_path) as notary:
        await signed(notary, 10)
        source.events = events(7)
        await reason(notary, "SECA:8 is cut")
        assert notary.stopped
    async with running(source, tmp_path) as notary:
        await reason(notary, "SECA:8 is cut")
        assert notary.stopped


async def test_changed_bytes_stop_the_notary_with_the_position(tmp_path: Path) -> None:
    source = ListedSource()
    source.events = events(10)
    Notary(tmp_path).publish()
    async with running(source, tmp_path) as notary:
        await signed(notary, 10)
        before = notary.published
    (tmp_path / f"private/{STREAM}.state").unlink()
    source.events[3] = source.events[2]
    async with running(source, tmp_path) as notary:
        await reason(notary, "SECA:4 is changed")
        assert notary.stopped
    assert Notary(tmp_path).checkpoint() == before


async def test_a_full_disk_delays_the_checkpoint_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, write = ListedSource(), log_files._write
    full = [True]

    def limited(path: Path, data: bytes, mode: int, folder_mode: int) -> set[Path]:
        if full[0] and "tile" in str(path):
            raise OSError(28, "No space left on device")
        return write(path, data, mode, folder_mode)

    monkeypatch.setattr(log_files, "_write", limited)
    async with running(source, tmp_path) as notary:
        source.events = events(300)
        await reason(notary, "No space left")
        source.events = events(800)
        await asyncio.sleep(0.1)
        full[0] = False
        await signed(notary, 800)
        assert notary.published == expected(source.events)
        assert notary.published.origin == ORIGIN


async def test_an_old_event_that_is_changed_is_found_by_the_next_comparison_of_the_whole_stream(
    tmp_path: Path,
) -> None:
    source = ListedSource()
    source.events = events(700)
    async with running(source, tmp_path, compare_every_s=0.01) as notary:
        await signed(notary, 700)
        await reached(lambda: notary.compared == 700)
        source.events += events(300)
        await signed(notary, 1000)
        await reached(lambda: notary.compared == 1000)
        assert notary.reason == ""
        before = notary.published
        source.events[40] = source.events[41]
        await reason(notary, "SECA:41 is changed")
        assert notary.stopped
        assert notary.published == before


async def test_a_comparison_of_the_whole_stream_ends_at_a_hole_and_stops_nothing(
    tmp_path: Path,
) -> None:
    source = ListedSource()
    source.events = events(400)
    async with running(source, tmp_path, compare_every_s=0.01) as notary:
        await signed(notary, 400)
        source.lost = {1, 2, 3}  # the stream discards its oldest events
        await asyncio.sleep(0.3)
        source.events = events(500)
        await signed(notary, 500)
        assert (notary.stopped, notary.reason) == (False, "")


async def test_an_empty_stream_is_compared_when_it_has_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_comparison, "START_S", 0.01)
    source = ListedSource()
    async with running(source, tmp_path, compare_every_s=3600) as notary:
        await signed(notary, 0)
        await asyncio.sleep(0.05)
        source.events = events(10)
        await reached(lambda: notary.compared > 0)
