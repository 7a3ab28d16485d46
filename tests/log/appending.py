"""Helpers for tests of every `Log`: append events, also undecodable ones, and read followers."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Followed, Log
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.subjects import subject
from secaplane.model.events import AnyEvent, Created, RecordedEvent, Updated
from secaplane.model.shape import Ref
from tests.log.lagging import LaggingLog
from tests.log.new_events import REGION, new_event

CREATED, UPDATED = Created(spec={"n": 1}), Updated(spec={"n": 2})
FOLLOW_S_MAX = 5.0


async def add(log: Log, ref: Ref, *events: AnyEvent) -> tuple[RecordedEvent, ...]:
    """Append without regard to concurrent writers: after the last event of the resource."""
    return tuple(
        [await log.append(new_event(ref, event, previous=await log.last(ref))) for event in events]
    )


async def append_undecodable(log: Log, ref: Ref, data: bytes) -> None:
    """Put data into the log that Secaplane did not write."""
    if isinstance(log, MonotonicLog):
        await append_undecodable(log.inner, ref, data)
    elif isinstance(log, LaggingLog):
        await append_undecodable(log.log, ref, data)
    elif isinstance(log, MemoryLog):
        log.inject(ref, data)
    else:
        assert isinstance(log, JetStreamLog)
        await log._nats.request(subject(ref, REGION), data)


async def first(following: AsyncIterator[Sequence[Followed]], number: int) -> list[Followed]:
    """The next events of a follower, regardless of its batches."""
    events: list[Followed] = []
    async with asyncio.timeout(FOLLOW_S_MAX):
        while len(events) < number:
            events += await anext(following)
    return events
