"""Wires the log into the read side: the newest event of one address (`readmodel.resource_log`)."""

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.monotonic import end_reaching
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.events import Closed, Deleted, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.resource_log import NewestEvent


class CachedResourceLog:
    """A `ResourceLog` on the log and the resource cache of a process. It asks the stream's leader:
    a direct get may be answered by a replica that lags, at the same cost."""

    def __init__(self, log: Log, cache: ResourceCache) -> None:
        self._log, self._cache = log, cache

    async def newest(self, ref: Ref, *, known: Position) -> NewestEvent:
        try:
            if known and await end_reaching(self._log, known.stream, known) < known:
                raise Unavailable(f"the log has not reached {known}")
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


def _newest(event: RecordedEvent | None) -> NewestEvent:
    if event is None:
        return NewestEvent(BEGINNING, living=False)
    return NewestEvent(event.position, living=not isinstance(event.event, Deleted | Closed))
