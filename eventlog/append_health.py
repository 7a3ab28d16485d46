"""Refusals of appends by the log, as one process has seen them. Pure."""

import time
from collections.abc import Callable, Iterable

EVIDENCE_S = 30.0
"""A refusal that is older stops nothing: a process that gets no more writes because it is not ready
tries again. The next refusal stops it at once, the first accepted append ends the series."""


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
        if self._first is None:
            self._first = now
        self._last, self.reason = now, reason
        self.count += 1

    @property
    def seconds(self) -> float:
        """Seconds from the first refusal to the last; 0 where the last append was accepted, or the
        last refusal is older than EVIDENCE_S."""
        if self._first is None or self.age_s > EVIDENCE_S:
            return 0.0
        return self._last - self._first

    @property
    def age_s(self) -> float:
        """Seconds since the last refusal; 0 where the last append was accepted."""
        return 0.0 if self._first is None else self._clock() - self._last


def _severity(refusals: Refusals) -> tuple[float, bool]:
    return refusals.seconds, bool(refusals.reason)


class AppendHealth:
    """Refusals of events, and of what is asked instead while no event is appended: by stream, the
    question whether an event would be accepted, which a stream answers although it is full; a
    message in the bucket of snapshots, which meets the limits of the server; and the limits."""

    def __init__(self, streams: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.events = {stream: Refusals(clock) for stream in streams}
        self.questions = {stream: Refusals(clock) for stream in self.events}
        self.storage, self.limits = Refusals(clock), Refusals(clock)

    @property
    def _probes(self) -> list[Refusals]:
        return [*self.questions.values(), self.storage, self.limits]

    def probed(self, probe: Refusals, refusal: str) -> None:
        """Take the outcome of a probe; `refusal` is empty if it was accepted. When the last one
        that was refused is accepted again, what it saw is over for events, too."""
        was_refused = bool(probe.reason)
        if refusal:
            probe.refused(refusal)
            return
        probe.accepted()
        if was_refused and not any(each.reason for each in self._probes):
            for each in self.events.values():
                each.accepted()

    @property
    def _longest(self) -> Refusals:
        return max([*self.events.values(), *self._probes], key=_severity)

    @property
    def refused_s(self) -> float:
        """Seconds of the longest series."""
        return self._longest.seconds

    @property
    def reason(self) -> str:
        """Of the longest series."""
        return self._longest.reason

    @property
    def unproven_s(self) -> float:
        """Seconds since the last event that was refused, while none has been accepted since."""
        return max(each.age_s for each in self.events.values())

    @property
    def count(self) -> int:
        """Refused events ever."""
        return sum(each.count for each in self.events.values())
