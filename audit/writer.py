"""The door to the second stream: tells it who was refused, off the path of the answers.

`record` neither waits nor fails. What it is given passes three bounds: the pace of one caller, a
queue in the process, and so many a second from there to the stream. The record is made as well as
can be; whatever does not get into it is counted.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count, islice
from secrets import token_hex

from msgspec.structs import replace

from secaplane.audit.entries import Entry, subject
from secaplane.audit.stream import PendingEntry, PublishResult
from secaplane.audit.token_bucket import Released, Throttle
from secaplane.eventlog.log import LogUnavailable

PER_S, BURST = 10.0, 100
"""Of one type and caller."""
CALLERS_MAX = 10_000
QUEUE_MAX = 5_000
BATCH_MAX, BATCH_EVERY_S = 100, 0.1
"""At most a thousand a second: what the log's server is asked to do for it at worst."""
SETTLE_EVERY_S = 1.0
UNAVAILABLE_RETRY_S = 1.0
"""Between two attempts while the stream does not answer."""
FLUSH_S_MAX = 2.0
REMARKED_S = 600.0
log = logging.getLogger("secaplane.refusals")


Publish = Callable[[Sequence[PendingEntry]], Awaitable[list[PublishResult]]]
Prepare = Callable[[], Awaitable[str]]
"""Sees to it that the stream is there, and says what is not right with it, if anything. Raises
Unanswered as long as it is not there."""


class AuditWriter:
    def __init__(
        self, tell: Publish, prepare: Prepare, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._prepare, self._clock = tell, prepare, clock
        self._pace = Throttle[Entry](burst=BURST, per_s=PER_S, keys_max=CALLERS_MAX)
        self._queue: deque[PendingEntry] = deque()
        self._mine, self._numbers = token_hex(8), count(1)
        self._settled_at = clock()
        self._away = False
        self._trouble_at = {"dropped": float("-inf"), "lost": float("-inf")}
        self._prepared, self._stream_remark = False, ""
        self.recorded = self.lost = 0

    # --- the door

    def record(self, entry: Entry) -> None:
        """Neither waits nor fails."""
        now, before = self._clock(), self._pace.dropped
        passed = self._pace.take(subject(entry), entry, now)
        if passed is not None:
            self._enqueue(passed)
        if self._pace.dropped > before:
            self._trouble_at["dropped"] = now

    # --- how it goes

    @property
    def dropped(self) -> int:
        """By the bound of one caller; the next entry of that caller counts them."""
        return self._pace.dropped

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._pace)

    @property
    def figures(self) -> dict[str, int]:
        """Since the process was started."""
        return {
            "recorded": self.recorded,
            "dropped": self.dropped,
            "lost": self.lost,
            "waiting": self.waiting,
        }

    @property
    def remarks(self) -> list[str]:
        """What somebody should look at."""
        since = self._clock() - REMARKED_S
        said = [self._stream_remark] if self._stream_remark else []
        if self._away:
            said.append(f"the stream of refusals does not answer; {self.waiting} wait for it")
        if self._trouble_at["lost"] > since:
            said.append(f"{self.lost} refusals are not in their stream: the queue was full")
        if self._trouble_at["dropped"] > since:
            said.append(f"somebody is refused too often: {self.dropped} refusals were only counted")
        return said

    # --- the way to the stream

    async def run(self) -> None:
        """Tells the stream what waits, in batches; without end."""
        while True:
            if not self._prepared:
                with suppress(LogUnavailable):
                    self._stream_remark = await self._prepare()
                    self._prepared = True
            await asyncio.sleep(UNAVAILABLE_RETRY_S if self._away else BATCH_EVERY_S)
            self._settle()
            await self._tell_some()

    async def flush(self) -> None:
        """At the end of the process: what waits still goes, as far as there is time for it."""
        for passed in self._pace.rest():
            self._enqueue(passed)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S_MAX):
                while self._queue:
                    await self._tell_some()
                    if self._away:
                        await asyncio.sleep(BATCH_EVERY_S)
        if self._queue:
            self._lose(len(self._queue))
            log.warning("refusals were lost", extra={"number": len(self._queue)})
            self._queue.clear()

    def _settle(self) -> None:
        """Who fell silent is not forgotten."""
        now = self._clock()
        if now - self._settled_at >= SETTLE_EVERY_S:
            self._settled_at = now
            for passed in self._pace.due(now):
                self._enqueue(passed)

    async def _tell_some(self) -> None:
        """While the stream is away, one knocks for all. They leave the queue when it is known what
        became of them, so that a cancellation loses none."""
        batch = list(islice(self._queue, 1 if self._away else BATCH_MAX))
        if not batch:
            return
        told = await self._tell(batch)
        for _ in batch:
            self._queue.popleft()
        again = [
            each for each, how in zip(batch, told, strict=True) if how is PublishResult.UNANSWERED
        ]
        self._queue.extendleft(reversed(again))
        self._away = bool(again)
        self.recorded += told.count(PublishResult.KEPT)
        self._lose(told.count(PublishResult.REFUSED))

    def _enqueue(self, passed: Released[Entry]) -> None:
        entry = replace(passed.each, dropped=passed.dropped) if passed.dropped else passed.each
        if len(self._queue) >= QUEUE_MAX:
            self._pace.missed(subject(entry), 1 + passed.dropped)
            self._lose(1)
            return
        self._queue.append(PendingEntry(f"{self._mine}-{next(self._numbers)}", entry))

    def _lose(self, number: int) -> None:
        if number:
            self.lost += number
            self._trouble_at["lost"] = self._clock()


@asynccontextmanager
async def running(refusals: AuditWriter) -> AsyncIterator[None]:
    """Tells while inside; on leaving, what still waits."""
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(refusals.run())
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            await refusals.flush()
