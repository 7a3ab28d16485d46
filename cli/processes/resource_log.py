"""Wires the log into the read side: the newest event of one address (`readmodel.resource_log`)."""

import asyncio

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.events import Closed, Deleted, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.resource_log import NewestEvent

LAGGING_S = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Delays before a server that lags behind a known position is asked again. They are few, because a
caller can name any position."""


class CachedResourceLog:
    """A `ResourceLog` on the log and the resource cache of a process. It asks the stream's leader:
    a direct get may be answered by a replica that lags, at the same cost."""

    def __init__(self, log: Log, cache: ResourceCache) -> None:
        self._log, self._cache = log, cache

    async def newest(self, ref: Ref, *, known: Position) -> NewestEvent:
        try:
            if known:
                await self._reached(known)
            event = await self._log.latest(ref)
        except LogUnavailable as error:
            raise Unavailable(str(error)) from error
        except Undecodable as error:
            raise Damaged(ref=ref) from error
        return _newest(event)

    async def resource(self, ref: Ref) -> Resource | None:
        try:
            return await self._cache.current(ref)
        except LogUnavailable as error:
            raise Unavailable(str(error)) from error
        except Undecodable as error:
            raise Damaged(ref=ref) from error

    def cached(self, ref: Ref) -> Resource | None:
        return self._cache.cached(ref)

    async def _reached(self, known: Position) -> None:
        """Wait until the leader's answers include a position. A leader that was replaced may lag
        behind what a follower, or another process, has already seen."""
        for delay in LAGGING_S:
            if await self._log.end(known.stream) >= known:
                return
            await asyncio.sleep(delay)
        raise LogUnavailable(f"the log has not reached {known}")


def _newest(event: RecordedEvent | None) -> NewestEvent:
    if event is None:
        return NewestEvent(BEGINNING, living=False)
    return NewestEvent(event.position, living=not isinstance(event.event, Deleted | Closed))
