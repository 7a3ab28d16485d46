"""The export: follows every stream, and delivers each batch before it reads the next one.

A position is written to the state after the sink has everything up to it. So a slow sink slows the
reading; memory holds one batch of each stream, and nothing is lost.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from random import random
from typing import Protocol

from secaplane.audit.siem.export_state import StateFile, state_of
from secaplane.audit.siem.records import SiemRecord, records
from secaplane.audit.siem.sinks import ExportedLine, Sink, SinkUnavailable
from secaplane.eventlog.log import Followed, LogUnavailable, RawEvent
from secaplane.model.position import Position, position

DELIVERY_BYTES_MAX = 1024 * 1024
"""Of one delivery; at least one event."""
DELIVERY_MAX = 500
RETRY_S, RETRY_S_MAX = 0.2, 30.0
log = logging.getLogger("secaplane.siem")

Write = Callable[[SiemRecord], bytes]


class FollowedStreams(Protocol):
    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        """As `Log.follow_raw`."""
        ...

    async def opened(self, batch: Sequence[RawEvent]) -> Sequence[Followed]:
        """The messages of one stream as events; none of the audit stream.

        Raises:
            LogUnavailable: the keys of sealed events cannot be read.
        """
        ...

    async def has_more(self, stream: str, after: Position) -> bool:
        """True if the stream has a message after a position."""
        ...


class Export:
    def __init__(
        self,
        source: FollowedStreams,
        sink: Sink,
        write: Write,
        *,
        positions: Mapping[str, Position],
        state: StateFile | None = None,
    ) -> None:
        """`positions`: of each stream to export, the last one that the sink has."""
        self._source, self._sink, self._write, self._state = source, sink, write, state
        self.positions = dict(positions)
        self._delivering = asyncio.Lock()
        self.delivered = self.failed = 0
        self.reason = ""
        """The reason why the sink does not take events now."""

    async def run(self, *, to_the_end: bool = False) -> None:
        """Without end, or until every stream has been delivered to its present end.

        Raises:
            SinkClosed, StateUnusable, OSError.
        """
        self._keep(complete=False)
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self.positions:
                    group.create_task(self._follow(stream, to_the_end=to_the_end))
        finally:
            await self._sink.close()
            self._keep(complete=True)

    async def _follow(self, stream: str, *, to_the_end: bool) -> None:
        followed = self._source.follow_raw(stream, after=self.positions[stream])
        async with aclosing(followed) as batches:
            async for batch in batches:
                if batch:
                    await self._deliver_all(stream, batch)
                elif to_the_end and not await self._source.has_more(stream, self.positions[stream]):
                    return

    async def _deliver_all(self, stream: str, batch: Sequence[RawEvent]) -> None:
        opened = await self._opened(batch)
        made = records(batch, self.positions[stream].sequence, opened)
        for lines in deliveries(ExportedLine(each, self._write(each)) for each in made):
            async with self._delivering:
                await self._deliver(lines)
                self.positions[stream] = position(stream, lines[-1].record.sequence)
                self.delivered += len(lines)
                self._keep(complete=False)

    async def _opened(self, batch: Sequence[RawEvent]) -> Sequence[Followed]:
        """Tries again without end, as the sink is tried: no event is left out."""
        delay_s = RETRY_S
        while True:
            try:
                return await self._source.opened(batch)
            except LogUnavailable as error:
                log.warning("events cannot be opened", extra={"reason": str(error)})
                await asyncio.sleep(delay_s * (0.5 + random() / 2))
                delay_s = min(delay_s * 2, RETRY_S_MAX)

    async def _deliver(self, lines: Sequence[ExportedLine]) -> None:
        delay_s = RETRY_S
        while True:
            try:
                await self._sink.deliver(lines)
            except SinkUnavailable as error:
                if not self.reason:
                    log.warning("the sink does not take events", extra={"reason": str(error)})
                self.reason = str(error)
                lines = lines[error.taken :]
                self.failed += 1
                await asyncio.sleep(delay_s * (0.5 + random() / 2))
                delay_s = min(delay_s * 2, RETRY_S_MAX)
            else:
                if self.reason:
                    log.info("the sink takes events again")
                self.reason = ""
                return

    def _keep(self, *, complete: bool) -> None:
        """Blocks for the time of a sync: what follows needs it, and nothing else runs here."""
        if self._state is not None:
            some = (each for each in self.positions.values() if each)
            self._state.write(state_of(some, bytes_=self._sink.size, complete=complete))


def deliveries(lines: Iterable[ExportedLine]) -> Iterator[list[ExportedLine]]:
    """Lines in parts that are bounded in number and bytes; each has at least one line."""
    part, size = list[ExportedLine](), 0
    for each in lines:
        if part and (len(part) >= DELIVERY_MAX or size + len(each.text) > DELIVERY_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each.text)
    if part:
        yield part
