"""The notary of one stream while it runs: follows the events, publishes the log that they give."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from secaplane.audit.entries import HEADS_SUBJECT
from secaplane.audit.notary.growing_tree import GrownTree
from secaplane.audit.notary.leaves import CommittedEvent, LifeHead
from secaplane.audit.notary.notary_log import EventsMissing, HistoryChanged, NotaryLog
from secaplane.audit.notary.publisher import Publisher
from secaplane.audit.notary.stream_comparison import StreamComparison
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.eventlog.log import LogUnavailable, RawEvent
from secaplane.eventlog.losses.holes import Acknowledgement, Hole, without
from secaplane.model.position import Position, position

UNWRITTEN_MAX = 512
"""Complete tiles and bundles in memory, about 26 KiB each; then following waits for the disk."""
GATHER_S, GATHER_MAX = 0.05, 100
"""Pause after few events, in which more arrive: taking many at once costs less than one by one."""
RETRY_S = 2.0
END_INTERVAL_S = 5.0
"""Interval between two comparisons of the end of a stream that brings no events."""
END_ANSWERS = 5
"""A stream is cut when so many answers in a row say so: the first may come from a server that has
just become the leader."""
RecordedHeadsSeen = Callable[[CommittedEvent, bytes], object]
log = logging.getLogger("secaplane.notary")


class EventSource(Protocol):
    """The part of the log that a notary uses."""

    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]: ...

    async def given_up_to(self, stream: str) -> Position: ...

    async def acknowledged(self) -> Sequence[Acknowledgement]: ...


class StreamNotary:
    """Signs a checkpoint at most once in `interval_s`, and one for every event."""

    def __init__(
        self,
        source: EventSource,
        publisher: Publisher,
        stream: str,
        *,
        interval_s: float,
        compare_every_s: float = 0.0,
        recorded: RecordedHeadsSeen | None = None,
    ) -> None:
        """`compare_every_s`: between two comparisons of the whole stream; 0: none. `recorded`: is
        called in a thread with each entry about heads that the stream holds."""
        self._source, self._publisher, self.stream = source, publisher, stream
        self._interval_s = interval_s
        self._compare_every_s, self._recorded = compare_every_s, recorded
        self._comparison = StreamComparison(source, publisher, stream, every_s=compare_every_s)
        self._log: NotaryLog | None = None
        self._pending: tuple[GrownTree, dict[str, LifeHead] | None] | None = None
        self._grown, self._written = asyncio.Event(), asyncio.Event()
        self.signed = asyncio.Event()
        """Set at each checkpoint."""
        self.reason = f"the log of {stream} is not open yet"
        """The cause for which nothing is signed at present; empty while the notary signs."""
        self.stopped = False
        """The history has changed: nothing is signed until an operator has decided."""
        self.followed = 0
        """Sequence of the last event that was taken."""

    @property
    def published(self) -> TreeHead:
        return self._publisher.published

    @property
    def taken(self) -> int:
        """The sequence of the last event of which the leaf is known."""
        return self._log.next - 1 if self._log is not None else 0

    @property
    def heads(self) -> tuple[int, dict[str, LifeHead]] | None:
        """The number of events that were taken, and the heads of their lives; None where they are
        not yet compared with what was signed, or not signed any more."""
        notary_log = self._log
        if notary_log is None or notary_log.comparing or self.stopped:
            return None
        return notary_log.next - 1, dict(notary_log.heads)

    @property
    def compared(self) -> int:
        """Events that the last comparison of the whole stream has compared."""
        return self._comparison.compared

    async def run(self) -> None:
        """Follow and publish; returns where the history has changed."""
        try:
            notary_log = self._log = await asyncio.to_thread(self._publisher.open)
            self._grown.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(notary_log))
                group.create_task(self._publish(notary_log))
                if self._compare_every_s:
                    group.create_task(self._comparison.run())
        except* HistoryChanged as changed:
            (error, *_) = changed.exceptions
            self.stopped, self.reason = True, f"the notary has stopped: {error}"
            log.error("the notary has stopped", extra={"stream": self.stream, "reason": str(error)})

    async def close(self) -> None:
        """Publish what is left and store the heads, so that the next start reads little."""
        if self._log is None or self.stopped:
            return
        if self._pending is not None:
            await self._publish_once(self._log)
        await self._publish_once(self._log, last=True)

    # --- following

    async def _follow(self, notary_log: NotaryLog) -> None:
        after = position(self.stream, notary_log.next - 1)
        clock, compared_at = asyncio.get_running_loop().time, float("-inf")
        async with aclosing(self._source.follow_raw(self.stream, after=after)) as batches:
            async for batch in batches:
                if not batch and clock() - compared_at >= END_INTERVAL_S:
                    await self._refuse_cut(notary_log)
                    compared_at = clock()
                for each in batch:
                    await self._take(notary_log, each)
                if batch:
                    self._grown.set()
                    if len(batch) < GATHER_MAX:
                        await asyncio.sleep(GATHER_S)
                while notary_log.tree.unwritten > UNWRITTEN_MAX:
                    self._written.clear()
                    await self._written.wait()

    async def _take(self, notary_log: NotaryLog, event: RawEvent) -> None:
        while True:
            try:
                sequence = event.position.sequence
                committed = notary_log.take(sequence, event.subject, event.data)
                if event.subject == HEADS_SUBJECT and self._recorded is not None:
                    await asyncio.to_thread(self._recorded, committed, event.data)
                self.followed = sequence
                return
            except EventsMissing as missing:
                await self._lose_declared(notary_log, missing.hole)

    async def _lose_declared(self, notary_log: NotaryLog, hole: Hole) -> None:
        """Take the beginning of a hole as lost, as far as an operator has declared it; or wait."""
        try:
            known = [each.hole for each in await self._source.acknowledged()]
        except LogUnavailable as error:
            self.reason = str(error)
            await asyncio.sleep(RETRY_S)
            return
        left = without(hole, known)
        if not left or left[0].first > hole.first:
            last = left[0].first - 1 if left else hole.last
            notary_log.lose(Hole(hole.stream, hole.first, last))
            return
        self.reason = (
            f"{left[0]} is missing in the stream: `secaplane log acknowledge {left[0]}` declares "
            "it lost"
        )
        await asyncio.sleep(RETRY_S)

    async def _refuse_cut(self, notary_log: NotaryLog) -> None:
        """Raises HistoryChanged where the stream ends before the last event that was taken."""
        for attempt in range(END_ANSWERS):
            if attempt:
                await asyncio.sleep(RETRY_S / 2)
            try:
                end = await self._source.given_up_to(self.stream)
            except LogUnavailable as error:
                self.reason = f"the stream {self.stream} does not answer: {error}"
                return
            if end.sequence >= max(notary_log.next - 1, notary_log.tree.size):
                return
        first = Position(self.stream, end.sequence + 1)
        raise HistoryChanged(first, "cut", "the stream ends before it, the log does not")

    # --- publishing

    async def _publish(self, notary_log: NotaryLog) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._grown.wait()
            self._grown.clear()
            began = clock()
            try:
                await self._publish_once(notary_log)
            except OSError as error:
                self.reason = f"the log of {self.stream} cannot be written: {error}"
                self._grown.set()
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(max(0.0, began + self._interval_s - clock()))

    async def _publish_once(self, notary_log: NotaryLog, *, last: bool = False) -> None:
        """Publish the tree as it is now. It is kept until that is done, because a tree gives its
        complete tiles once."""
        if self._pending is not None:
            self._grown.set()  # an earlier attempt has failed, and the tree may have grown since
        else:
            grown = notary_log.take_grown()
            if grown is None:
                return
            due = last or self._publisher.state_is_due(grown.size, len(notary_log.heads))
            self._pending = grown, dict(notary_log.heads) if due else None
        await asyncio.to_thread(self._publisher.publish, *self._pending)
        self._pending, self.reason = None, ""
        self.signed.set()
        self._written.set()
