"""Progress of the read model: how far its rows are in each stream, as announced to this process,
and the newest positions that this process knows of. Pure.

Writers wait for their own event (read-your-writes), readers for a position that they name. The
projector announces its progress (`readmodel.announcements`); a lost announcement is repeated soon.
While the rows are behind a known position, a read by name compares its row with the log
(`query.by_name`), and a list waits for what was acknowledged in its tenant.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count

from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

REACHED_S_MAX = 2.0
SOON_S, SOON_EVENTS, SOON_SILENT_S = 0.05, 200, 0.5
"""Rows that miss at most so many events, and were announced so few seconds ago, are given a short
time before the log is asked."""
DOUBT_S = 3.0
"""A projector notices within this time that the database lost its last commits."""
TENANTS_MAX = 4096
"""Tenants whose acknowledged positions are kept; beyond it, the one acknowledged first is dropped:
its lists do not wait."""
WRITTEN_MAX = 8192
"""Resources whose acknowledged position is kept; beyond it, the one acknowledged first is dropped:
its row is answered while the log does not answer, even if it is older."""


class Progress:
    """The newest announced position of each stream, and the callers that wait for a later one.

    `behind` is what a read pays for freshness while all is well: an empty mapping is false.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._positions: dict[str, Position] = {}
        self._known: dict[str, Position] = {}
        self._acknowledged: dict[str, dict[str, Position]] = {}
        self._written: dict[tuple[Ref, str], Position] = {}
        self._doubted_until = clock()
        self.behind: dict[str, Position] = {}
        """By stream, where the rows have not reached it: the newest position that is known."""
        self._clock = clock
        self._announced_at = clock()
        self._silent = False
        self._order = count()
        self._waiting: dict[str, list[tuple[int, int, asyncio.Future[None]]]] = {}

    def position(self, stream: str) -> Position:
        """The position that the rows have reached in a stream."""
        return self._positions.get(stream, BEGINNING)

    def newest(self, stream: str) -> Position:
        """The newest position of a stream that this process knows of."""
        return self._known.get(stream, BEGINNING)

    def announce(self, position: Position) -> None:
        """Take an announced position. It may be older than the last one: a database that crashed
        loses its last commits."""
        stream = position.stream
        self._silent, self._announced_at = False, self._clock()
        self._positions[stream] = position
        self.know(position)
        caught_up = position >= self._known.get(stream, BEGINNING)
        if caught_up and self._announced_at >= self._doubted_until:
            self.behind.pop(stream, None)
        waiting = self._waiting.get(stream, [])
        while waiting and waiting[0][0] <= position.sequence:
            _, _, waiter = heapq.heappop(waiting)
            if not waiter.done():
                waiter.set_result(None)

    def know(self, position: Position) -> None:
        """Take a position that the log has reached, whether the rows have or not."""
        stream = position.stream
        known = self._known.get(stream, BEGINNING)
        if known < position:
            known = self._known[stream] = position
        if self.position(stream) < known:
            self.behind[stream] = known

    def doubt(self) -> None:
        """Take the rows of all streams as behind, until the projector announces them again: a
        connection to the database was lost, and with it perhaps the last commits."""
        self._doubted_until = self._clock() + DOUBT_S
        self.behind |= self._known

    def acknowledge(self, position: Position, tenant: str, ref: Ref | None = None) -> None:
        """Take the position of a write in a tenant that is answered before the rows reach it, and
        the resource that it is about."""
        self.know(position)
        if self.position(position.stream) >= position:
            return
        if ref is not None:
            at = (ref, position.stream)
            before = self._written.pop(at, BEGINNING)
            self._written[at] = position if before < position else before
            if len(self._written) > WRITTEN_MAX:
                del self._written[next(iter(self._written))]
        newest = self._acknowledged.setdefault(tenant, {})
        if newest.get(position.stream, BEGINNING) < position:
            newest[position.stream] = position
        if len(self._acknowledged) > TENANTS_MAX:
            del self._acknowledged[next(iter(self._acknowledged))]

    def acknowledged(self, tenant: str) -> Iterable[Position]:
        """The newest positions acknowledged in a tenant that the rows have not reached."""
        newest = self._acknowledged.get(tenant)
        if newest is None:
            return ()
        missing = [each for each in newest.values() if self.position(each.stream) < each]
        if not missing:
            del self._acknowledged[tenant]
        return missing

    def written(self, ref: Ref, stream: str) -> Position:
        """The newest position of a resource that was acknowledged in its stream and that the rows
        have not reached; BEGINNING where there is none."""
        newest = self._written.get((ref, stream), BEGINNING)
        if newest and self.position(stream) >= newest:
            del self._written[ref, stream]
            return BEGINNING
        return newest

    @property
    def awaited(self) -> bool:
        """True while a caller waits for a position."""
        return any(self._waiting.values())

    @property
    def silent_s(self) -> float:
        """Seconds since the last announcement."""
        return self._clock() - self._announced_at

    async def soon(self, position: Position) -> None:
        """Give rows that follow the log closely a short time to reach a position: the read that
        waits then needs not ask the log."""
        missing = position.sequence - self.position(position.stream).sequence
        if 0 < missing <= SOON_EVENTS and self.silent_s < SOON_SILENT_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON_S):
                    await self._waiter(position)

    async def reached(
        self,
        positions: Iterable[Position],
        *,
        seconds: float = REACHED_S_MAX,
        patient: bool = False,
    ) -> bool:
        """Wait until the rows have reached every one of some positions; False if they have not in
        time.

        After one time-out the next callers do not wait until something is announced again, unless
        they are `patient`: a projector that stands still must not make every write slow.
        """
        missing = [each for each in positions if self.position(each.stream) < each]
        if not missing:
            return True
        if self._silent and not patient:
            return False
        waiters = [self._waiter(each) for each in missing]
        try:
            async with asyncio.timeout(seconds):
                for waiter in waiters:
                    await waiter
        except TimeoutError:
            self._silent = True
            return False
        return True

    def _waiter(self, position: Position) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(position.stream, [])
        heapq.heappush(waiting, (position.sequence, next(self._order), waiter))
        return waiter
