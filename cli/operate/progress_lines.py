"""Progress of a long command on stderr: a bar on a terminal, otherwise a line every few seconds."""

import time
from collections.abc import Callable
from typing import TextIO

from secaplane.projector.rebuild import Filled

BAR = 30
"""Characters of the bar."""
LINE_EVERY_S, BAR_EVERY_S = 5.0, 0.1


class ProgressLines:
    """Called after each batch. Rate and remaining time count from the first call on, so that a
    resumed command does not count what an earlier one has done."""

    def __init__(
        self, name: str, out: TextIO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._out, self._clock = name, out, clock
        self._bar = out.isatty()
        self._every_s = BAR_EVERY_S if self._bar else LINE_EVERY_S
        self._first: tuple[float, int] | None = None
        self._shown_at = clock()

    def __call__(self, filled: Filled) -> None:
        now = self._clock()
        if self._first is None:
            self._first = now, filled.events
        if now - self._shown_at < self._every_s:
            return
        self._shown_at = now
        began, before = self._first
        text = described(filled, rate=(filled.events - before) / max(now - began, 0.001))
        if self._bar:
            self._out.write(f"\r\x1b[K{self._name} {bar(filled)} {text}")
        else:
            self._out.write(f"{self._name}: {text}\n")
        self._out.flush()

    def end(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._out.write("\r\x1b[K")
            self._out.flush()


def bar(filled: Filled) -> str:
    done = BAR * filled.events // max(filled.of, filled.events, 1)
    return f"[{'#' * done}{'.' * (BAR - done)}]"


def described(filled: Filled, *, rate: float) -> str:
    """Events of how many; with a rate, also the time that is left."""
    text = f"{filled.events:,} of {filled.of:,} events"
    if rate <= 0:
        return text
    return f"{text}, {rate:,.0f}/s, {max(filled.of - filled.events, 0) / rate:,.0f} s left"
