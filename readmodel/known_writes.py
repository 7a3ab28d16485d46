"""Judgement whether a process knows of every write that was answered. Pure.

It is notified of writes that the rows do not show yet (`readmodel.acknowledgements`). Such a
message is lost with a connection, and comes late to a process that was stopped, or while brokers
are overloaded. So the process may rely on its notices only while its connection holds, the
projector announces itself through it, and the end of the log was asked for not long ago. A writer
that gets no announcement waits for its row longer (`progress.REACHED_S_MAX`) than a reader relies
on its notices.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from secaplane.readmodel.progress import Progress

SILENT_S_MAX = 1.0
"""The projector announces itself four times a second."""
ASKED_S_MAX = 3.0
"""The end of the log is asked for once a second."""


class Question(NamedTuple):
    """The ends of all streams are being asked for."""

    at: float
    connection: int | None


class KnownWrites:
    """`connection` tells one connection from the next; None while there is none."""

    def __init__(
        self,
        progress: Progress,
        connection: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._connection, self._clock = progress, connection, clock
        self._answered = Question(0.0, None)

    @property
    def complete(self) -> bool:
        """False while a write may have been answered that this process does not know of."""
        at, connection = self._answered
        if connection is None:
            return False
        if self._holds(connection) and self._clock() - at <= ASKED_S_MAX:
            return True
        self._answered = Question(at, None)  # until the ends were asked for again
        return False

    def asking(self) -> Question:
        return Question(self._clock(), self._connection())

    def answered(self, question: Question) -> None:
        """Every end was learned since `question` was made."""
        if question.connection is not None and self._holds(question.connection):
            self._answered = question

    def _holds(self, connection: int) -> bool:
        return connection == self._connection() and self._progress.silent_s <= SILENT_S_MAX
