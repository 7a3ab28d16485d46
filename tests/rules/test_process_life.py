"""Starts and stops of a process become audit entries; neither waits for them."""

import asyncio
import threading
from collections.abc import Sequence

import msgspec
import pytest

from secaplane.audit.entries import SUBJECTS_OF_PROCESSES, Entry, ProcessFacts, subject
from secaplane.audit.stream import PendingEntry
from secaplane.cli.processes.lifecycle import process_life
from secaplane.cli.processes.lifecycle.clock import ClockReading, clock_reading
from secaplane.cli.processes.lifecycle.process_life import ProcessLife, release
from secaplane.eventlog.log import LogUnavailable

SECOND_SIGNAL = 128 + 15


class Recording:
    """A stream that stores, refuses, or never answers."""

    def __init__(self, *, answers: bool = True, held: bool = False) -> None:
        self.stored = dict[str, Entry]()
        self.answers, self._held = answers, held
        self.asked = threading.Event()

    async def publish(self, entries: Sequence[PendingEntry]) -> None:
        self.asked.set()
        if self._held:
            await asyncio.Event().wait()
        if not self.answers:
            raise LogUnavailable("no answer")
        self.stored |= {each.message_id: each.entry for each in entries}

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.stored.values()]


def test_start_and_stop_name_process_version_instance_and_clock() -> None:
    recording = Recording()
    assert ProcessLife("projector", recording.publish).recorded(lambda: 0) == 0
    assert sorted(recording.types) == ["process-started", "process-stopped"]
    started, stopped = sorted(recording.stored.values(), key=lambda each: each.type)
    for each in (started, stopped):
        assert isinstance(each.process, ProcessFacts)
        assert (each.process.name, each.process.version) == ("projector", release())
        assert each.process.instance == each.request
        assert "clock offset" in each.reason
        assert any(subject(each).startswith(one[:-1]) for one in SUBJECTS_OF_PROCESSES)
    assert started.request == stopped.request
    assert stopped.reason.startswith("stopped, version")


def test_the_entries_of_one_process_displace_none_of_another() -> None:
    recording = Recording()
    for name in ("serve", "projector", "serve"):
        ProcessLife(name, recording.publish).recorded(lambda: 0)
    starts = [each for each in recording.stored.values() if each.type == "process-started"]
    assert len(starts) == 3
    assert len({subject(each) for each in starts}) == 2


def test_two_runs_are_two_instances() -> None:
    recording = Recording()
    for _ in range(2):
        ProcessLife("projector", recording.publish).recorded(lambda: 0)
    assert len({each.request for each in recording.stored.values()}) == 2


def test_a_process_that_fails_says_by_what() -> None:
    recording = Recording()

    def fail() -> int:
        raise ValueError("of the process")

    with pytest.raises(ValueError, match="of the process"):
        ProcessLife("serve", recording.publish).recorded(fail)
    assert any("ended by ValueError" in each.reason for each in recording.stored.values())


def test_a_second_signal_waits_for_no_entry() -> None:
    recording = Recording()
    asked = recording.asked
    life = ProcessLife("serve", recording.publish)
    assert life.recorded(lambda: SECOND_SIGNAL if asked.wait(10) else 0) == SECOND_SIGNAL
    assert "process-stopped" not in recording.types


@pytest.mark.parametrize("recording", [Recording(answers=False), Recording(held=True)])
def test_a_stream_that_does_not_answer_delays_no_start_and_bounds_the_stop(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_life, "STOP_S_MAX", 0.05)
    life = ProcessLife("serve", recording.publish)
    assert life.recorded(lambda: 7) == 7
    assert recording.stored == {}


def test_a_start_that_was_not_recorded_is_recorded_with_the_stop() -> None:
    recording = Recording(answers=False)

    def run() -> int:
        recording.asked.wait(10)
        recording.answers = True
        return 0

    ProcessLife("serve", recording.publish).recorded(run)
    assert "process-stopped" in recording.types


def test_the_clock_is_read_or_unknown() -> None:
    reading = clock_reading()
    assert reading is None or isinstance(reading, ClockReading)
    facts = ProcessFacts(name="x", version="1", instance="i")
    assert msgspec.to_builtins(facts)["clock_offset_us"] is None
