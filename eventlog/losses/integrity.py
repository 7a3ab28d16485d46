"""Lost events, as one process that writes knows them: what it appends no more. Pure.

`cli.processes.log_guard` compares the log with the sequence and with the rows, at the start and
whenever the connection to the log was lost. An append asks here, which costs no request.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole
from secaplane.model.errors import HistoryIncomplete, Unavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

COMPARED_S_MAX = 2.0
"""Appends wait so long, after the log was connected, until it is compared. A long log takes longer:
then what it has lost stops writes as soon as it is found."""
SHOWN_MAX = 5


class LogIntegrity:
    """Lost events of one log, and the refusals that follow from them."""

    def __init__(self) -> None:
        self.unnamed: Sequence[Hole] = ()
        """Holes of which no row says whose they are, and that no operator has acknowledged."""
        self.damaged: Mapping[Ref, Hole] = {}
        """Resources that have lost an event."""
        self.cut: Mapping[str, tuple[Position, Position]] = {}
        """By stream: where it ends, and the later position that it had given."""
        self._known = dict[str, Position]()
        self._compared = asyncio.Event()
        self._compared.set()
        self._waits_until = 0.0
        """Monotonic seconds: appends wait for a comparison until then."""
        self.doubted = asyncio.Event()
        """Set when the log has to be compared again."""
        self._doubts = 0

    def know(self, position: Position) -> None:
        """Take a position that the log has given to an event."""
        if self._known.get(position.stream, BEGINNING) < position:
            self._known[position.stream] = position

    def ends(self, stream: str, end: Position) -> None:
        """Compare the last position that a stream has given with those that were known."""
        known = self._known.get(stream, BEGINNING)
        cut = {each: found for each, found in self.cut.items() if each != stream}
        self.cut = cut | ({stream: (end, known)} if end < known else {})

    def forget(self, stream: str, known: Position) -> None:
        """Take a position as the last known one: the rows were rebuilt on a log that was cut."""
        self._known[stream] = known

    def doubt(self) -> None:
        """The log may be another one than before: it was not reachable meanwhile."""
        self._doubts += 1
        self._compared.clear()
        self._waits_until = time.monotonic() + COMPARED_S_MAX
        self.doubted.set()

    def comparing(self) -> int:
        """A comparison begins now: the number to report its result with."""
        self.doubted.clear()
        return self._doubts

    def compared(
        self, holes: Sequence[Hole], damaged: Mapping[Ref, Hole], *, comparison: int
    ) -> None:
        """Take what a comparison has found. Appends still wait if the log was doubted after it had
        begun: it may not have read the log that is connected now."""
        self.unnamed, self.damaged = holes, damaged
        if comparison == self._doubts:
            self._compared.set()

    async def refuse_damaged(self, ref: Ref) -> None:
        """Refuse an append that the log must not take.

        Raises:
            HistoryIncomplete: the resource has lost an event.
            Unavailable: it is not known which resource has.
            LogUnavailable: the log ends before a position that it has given.
        """
        left = 0.0 if self._compared.is_set() else self._waits_until - time.monotonic()
        if left > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._compared.wait()
        if self.cut:
            raise LogUnavailable(f"the log has lost its end: {self.reasons[0]}")
        if self.unnamed:
            raise Unavailable(
                "the log has lost events and it is not known of which resources: nothing is written"
                " until an operator decides"
            )
        if ref in self.damaged:
            raise HistoryIncomplete(ref=ref)

    @property
    def reasons(self) -> list[str]:
        """Why nothing is written at all; empty while all is well."""
        reasons = [
            f"the log ends at {end or stream + ':0'} and had given {known}: nothing is written"
            for stream, (end, known) in self.cut.items()
        ]
        if self.unnamed:
            count = sum(each.count for each in self.unnamed)
            shown = ", ".join(map(str, self.unnamed[:SHOWN_MAX]))
            reasons.append(
                f"{count} events are missing in the log, and no row names them ({shown}):"
                " nothing is written until they are acknowledged"
            )
        return reasons

    @property
    def findings(self) -> list[str]:
        return [*self.reasons, *self.remarks]

    @property
    def remarks(self) -> list[str]:
        if not self.damaged:
            return []
        holes = sorted(set(self.damaged.values()))
        shown = ", ".join(map(str, holes[:SHOWN_MAX]))
        return [f"{len(self.damaged)} resources have lost events ({shown}) and are not written"]
