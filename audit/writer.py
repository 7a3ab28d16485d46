"""Writing to the security audit stream in the background, so that no answer waits for it.

`AuditWriter.record` neither waits nor fails. An entry passes three limits: those of its type and
caller (`audit.entry_limits`), a queue in the process, and a number of entries a second from there
to the stream.
The record is best effort; whatever does not reach the stream is counted.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count, islice
from secrets import token_hex

from secaplane.audit.entries import Entry
from secaplane.audit.entry_limits import REFUSED, EntryLimits
from secaplane.audit.stream import PendingEntry, PublishResult
from secaplane.eventlog.log import LogUnavailable

QUEUE_MAX = 5_000
BATCH_MAX, BATCH_INTERVAL_S = 100, 0.1
"""At most 1,000 entries a second: the load on the server that also holds the log."""
RELEASE_INTERVAL_S = 1.0
"""Interval between two searches for held entries that may pass."""
UNAVAILABLE_RETRY_S = 1.0
FLUSH_S_MAX = 2.0
REMARK_S = 600.0
"""Time for which `/readyz` shows a remark after entries were dropped or lost."""
log = logging.getLogger("secaplane.audit")


Publish = Callable[[Sequence[PendingEntry]], Awaitable[list[PublishResult]]]
Prepare = Callable[[], Awaitable[str]]
"""Makes sure that the stream exists, and returns a remark about its configuration, or nothing.
Raises LogUnavailable as long as the stream does not exist."""


class AuditWriter:
    def __init__(
        self, publish: Publish, prepare: Prepare, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._publish, self._prepare, self._clock = publish, prepare, clock
        self._limits = EntryLimits()
        self._queue: deque[PendingEntry] = deque()
        self._process_id, self._numbers = token_hex(8), count(1)
        self._released_at = clock()
        self._unavailable = False
        self._dropped_at = self._lost_at = float("-inf")
        self._prepared, self._stream_remark = False, ""
        self.recorded = self.lost = 0

    def record(self, entry: Entry) -> None:
        """Queue an entry, or count it; neither waits nor fails."""
        now, before = self._clock(), self._limits.dropped
        passed = self._limits.take(entry, now)
        if passed is not None:
            self._enqueue(passed)
        if entry.type != REFUSED and self._limits.dropped > before:
            self._dropped_at = now

    # --- metrics and remarks

    @property
    def dropped(self) -> int:
        """Entries over a limit; the next entry of that type and caller carries the number."""
        return self._limits.dropped

    @property
    def pending(self) -> int:
        return len(self._queue) + len(self._limits)

    @property
    def figures(self) -> dict[str, int]:
        """Numbers of entries since the process was started."""
        return {
            "recorded": self.recorded,
            "dropped": self.dropped,
            "lost": self.lost,
            "pending": self.pending,
        }

    @property
    def remarks(self) -> list[str]:
        """Reasons for an operator to look at the audit stream."""
        since = self._clock() - REMARK_S
        remarks = [self._stream_remark] if self._stream_remark else []
        if self._unavailable:
            remarks.append(f"the audit stream does not answer; {self.pending} entries are pending")
        if self._lost_at > since:
            remarks.append(f"{self.lost} audit entries were lost: the queue was full")
        if self._dropped_at > since:
            remarks.append(
                f"a caller exceeds the rate of audit entries: {self.dropped} were dropped"
            )
        return remarks

    # --- publishing

    async def run(self) -> None:
        """Publish queued entries in batches; without end."""
        while True:
            if not self._prepared:
                with suppress(LogUnavailable):
                    self._stream_remark = await self._prepare()
                    self._prepared = True
            await asyncio.sleep(UNAVAILABLE_RETRY_S if self._unavailable else BATCH_INTERVAL_S)
            self._release()
            await self._publish_batch()

    async def flush(self) -> None:
        """Publish what is pending when the process ends, for at most FLUSH_S_MAX."""
        for passed in self._limits.rest():
            self._enqueue(passed)
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S_MAX):
                while self._queue:
                    await self._publish_batch()
                    if self._unavailable:
                        await asyncio.sleep(BATCH_INTERVAL_S)
        if self._queue:
            self._lose(len(self._queue))
            log.warning("audit entries were lost", extra={"number": len(self._queue)})
            self._queue.clear()

    def _release(self) -> None:
        """Queue what the limits hold of callers that send nothing more."""
        now = self._clock()
        if now - self._released_at >= RELEASE_INTERVAL_S:
            self._released_at = now
            for passed in self._limits.due(now):
                self._enqueue(passed)

    async def _publish_batch(self) -> None:
        """While the stream does not answer, a batch is one entry. Entries leave the queue only when
        their result is known, so that a cancellation loses none."""
        batch = list(islice(self._queue, 1 if self._unavailable else BATCH_MAX))
        if not batch:
            return
        results = await self._publish(batch)
        for _ in batch:
            self._queue.popleft()
        again = [
            each
            for each, result in zip(batch, results, strict=True)
            if result is PublishResult.UNANSWERED
        ]
        self._queue.extendleft(reversed(again))
        self._unavailable = bool(again)
        self.recorded += results.count(PublishResult.STORED)
        self._lose(results.count(PublishResult.REJECTED))

    def _enqueue(self, entry: Entry) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self._limits.missed(entry)
            self._lose(1)
            return
        self._queue.append(PendingEntry(f"{self._process_id}-{next(self._numbers)}", entry))

    def _lose(self, number: int) -> None:
        if number:
            self.lost += number
            self._lost_at = self._clock()


@asynccontextmanager
async def running(writer: AuditWriter) -> AsyncIterator[None]:
    """Publishes while inside; on leaving, flushes what is pending."""
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(writer.run())
        try:
            yield
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing
            await writer.flush()
