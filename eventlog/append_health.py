"""Refusals of appends by the log, as one process has seen them. Pure."""

import time
from collections.abc import Callable, Iterable

EVIDENCE_S = 30.0
"""A refusal that is older says nothing about now: a process that gets no more writes because it is
not ready tries again."""


class Refusals:
    """Refused appends without an accepted one between them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: float | None = None
        self._last = 0.0
        self.count = 0
        """Refusals ever."""
        self.reason = ""

    def accepted(self) -> None:
        self._first, self.reason = None, ""

    def refused(self, reason: str) -> None:
        now = self._clock()
        if self._first is None or self._outdated:
            self._first = now
        self._last, self.reason = now, reason
        self.count += 1

    @property
    def seconds(self) -> float:
        """Seconds from the first refusal to the last; 0 where the last append was accepted, or the
        last refusal is older than EVIDENCE_S."""
        if self._first is None or self._outdated:
            return 0.0
        return self._last - self._first

    @property
    def _outdated(self) -> bool:
        return self._clock() - self._last > EVIDENCE_S


class AppendHealth:
    """Refusals of events, and of questions whether an event would be accepted, by stream: a stream
    that is full answers the question, and refuses the event."""

    def __init__(self, streams: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.events = {stream: Refusals(clock) for stream in streams}
        self.questions = {stream: Refusals(clock) for stream in self.events}

    @property
    def _all(self) -> list[Refusals]:
        return [*self.events.values(), *self.questions.values()]

    @property
    def refused_s(self) -> float:
        """Seconds of the longest series."""
        return max(each.seconds for each in self._all)

    @property
    def reason(self) -> str:
        """Of the longest series."""
        return max(self._all, key=lambda each: each.seconds).reason

    @property
    def count(self) -> int:
        """Refused events ever."""
        return sum(each.count for each in self.events.values())
