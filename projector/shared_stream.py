"""One stream for all projectors of a process: its events are fetched, decoded and folded once.

Each projector follows at its own pace and fails on its own. Projectors that are within the last
RECENT_MAX events of each other share one follower of the log; one that is further behind has a
follower of its own until it has caught up.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from secaplane.eventlog.log import Followed, Log
from secaplane.model.bounded_cache import event_bytes
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.folding import ProjectedEvent

RECENT_MAX, RECENT_BYTES_MAX = 1000, 4 * 1024 * 1024
"""Events kept for the projectors that come later, and their bytes; up to twice as many events
between two trims."""


class SharedStream:
    def __init__(self, log: Log, name: str) -> None:
        self.log, self.name = log, name
        self._recent: list[Followed] = []
        """All events after `_begin`, up to and including `_end`."""
        self._weights: list[int] = []
        """Of each of them, in bytes."""
        self._size = 0
        """Of all of them."""
        self._begin: Position | None = None
        self._end = BEGINNING
        self._source: AsyncGenerator[Sequence[Followed], None] | None = None
        self._fetching = asyncio.Lock()
        self._folded: dict[int, ProjectedEvent] = {}

    async def follow(self, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        """As `Log.follow`."""
        if self._begin is None:
            self._begin = self._end = after
        while True:
            if not self._holds(after):
                async with aclosing(self.log.follow(self.name, after=after)) as own:
                    async for batch in own:
                        yield batch
                        after = batch[-1].position if batch else after
                        if self._holds(after):
                            break
            batch = self._after(after) or await self._fetch(after)
            yield batch
            after = batch[-1].position if batch else after

    def folded(self, event: RecordedEvent) -> ProjectedEvent | None:
        """The event as another projector has folded it. Only shared events are the same object."""
        each = self._folded.get(event.position.sequence)
        return each if each is not None and each.event is event else None

    def remember(self, folded: ProjectedEvent) -> None:
        position = folded.event.position
        if self._begin is not None and self._begin < position <= self._end:
            self._folded[position.sequence] = folded

    def _holds(self, after: Position) -> bool:
        return self._begin is not None and self._begin <= after <= self._end

    def _after(self, after: Position) -> Sequence[Followed]:
        first = bisect_right(self._recent, after.sequence, key=_sequence)
        return self._recent[first:]

    async def _fetch(self, after: Position) -> Sequence[Followed]:
        """The next events of the shared follower, or those that another projector fetched while
        this one waited. Empty where nothing arrived for about a second."""
        async with self._fetching:
            if self._end != after:
                return self._after(after) if self._holds(after) else ()
            if self._source is None:
                self._source = self.log.follow(self.name, after=after)
            source, self._source = self._source, None  # a projector that ends here has closed it
            batch = await anext(source)
            self._source = source
            self._recent += batch
            weights = [event_bytes(each) for each in batch]
            self._weights += weights
            self._size += sum(weights)
            self._end = batch[-1].position if batch else after
            self._trim()
            return batch

    def _trim(self) -> None:
        dropped = 0
        if len(self._recent) <= 2 * RECENT_MAX and self._size <= RECENT_BYTES_MAX:
            return
        while len(self._recent) - dropped > RECENT_MAX or self._size > RECENT_BYTES_MAX // 2:
            self._size -= self._weights[dropped]
            self._folded.pop(self._recent[dropped].position.sequence, None)
            dropped += 1
        self._begin = self._recent[dropped - 1].position
        del self._recent[:dropped], self._weights[:dropped]


def _sequence(followed: Followed) -> int:
    return followed.position.sequence
