"""Every stored event of the log, in the order of each stream, up to the end that it has now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from secaplane.eventlog.log import Log, RawEvent
from secaplane.model.position import BEGINNING


async def whole_log(log: Log) -> AsyncIterator[RawEvent]:
    """Raises LogUnavailable."""
    for stream in log.streams.names:
        async for raw in _up_to_the_end(log, stream):
            yield raw


async def _up_to_the_end(log: Log, stream: str) -> AsyncIterator[RawEvent]:
    end = await log.end(stream)
    if not end:
        return
    async with aclosing(log.follow_raw(stream, after=BEGINNING)) as batches:
        async for batch in batches:
            for each in batch:
                if each.position > end:
                    return
                yield each
            await asyncio.sleep(0)
            if batch and batch[-1].position >= end:
                return
