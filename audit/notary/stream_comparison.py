"""Compares a stream from its beginning with the log that the notary has signed, again and again.

A start of the notary compares what came after its stored heads. Older events are compared here, in
the background and slowly, so that a change of any of them is found without an auditor.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from secaplane.audit.notary.notary_log import EventsMissing, NotaryLog
from secaplane.audit.notary.publisher import Publisher
from secaplane.eventlog.log import RawEvent
from secaplane.model.position import BEGINNING, Position

COMPARED_PER_S = 2000
"""Events: a twentieth of a processor or less."""
START_S = 1.0
"""Delay of the first comparison where nothing is signed yet."""


class StreamReader(Protocol):
    """The part of the log that a comparison uses."""

    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]: ...


class StreamComparison:
    """The comparisons of one stream. One begins `every_s` seconds after the end of another."""

    def __init__(
        self, source: StreamReader, publisher: Publisher, stream: str, *, every_s: float
    ) -> None:
        self._source, self._publisher, self._stream = source, publisher, stream
        self._every_s = every_s
        self.compared = 0
        """Events that the last comparison has compared, from the first one on."""

    async def run(self) -> None:
        """Compare without end.

        Raises:
            HistoryChanged: the first event whose leaf is another one than was signed.
        """
        while True:
            signed = await asyncio.to_thread(self._publisher.from_the_beginning)
            await self._compare(signed)
            await asyncio.sleep(self._every_s if signed.tree.size else START_S)

    async def _compare(self, signed: NotaryLog) -> None:
        """Compare every event that was signed. Ends at a hole: no chain goes on behind it. A stream
        that discards its oldest events begins with one; `secaplane log check` finds the others."""
        if not signed.comparing:
            return
        async with aclosing(self._source.follow_raw(self._stream, after=BEGINNING)) as batches:
            async for batch in batches:
                for each in batch:
                    if not signed.comparing:
                        break
                    try:
                        signed.take(each.position.sequence, each.subject, each.data)
                    except EventsMissing:
                        return
                    self.compared = each.position.sequence
                if not signed.comparing:
                    return
                await asyncio.sleep(len(batch) / COMPARED_PER_S)
