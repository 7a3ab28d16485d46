"""Folded resources of this process, brought up to date with as few events as possible.

`current` always asks the stream's leader for the resource's last event, so its answer is never
stale; the cache and the snapshots only save reading the events before it. `recent` may be up to
RECENT_S old: for parents of a resource, which seldom change. A process that follows the log gives
each event to `advance`, and then `as_of` answers from the cache as of a position.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple, TypeGuard

from secaplane.eventlog.codec import EventMissing, Undecodable
from secaplane.eventlog.decoding import CANNOT_APPLY, missing, readable, undecodable
from secaplane.eventlog.log import Followed, Log, LogUnavailable
from secaplane.eventlog.monotonic import has_lost
from secaplane.eventlog.snapshots import Snapshots, snapshot_due
from secaplane.model.bounded_cache import BoundedCache, resource_bytes
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource

RECENT_S = 5.0


class _ReadResource(NamedTuple):
    at: float
    """Monotonic seconds."""
    resource: Resource


class ResourceCache:
    def __init__(self, log: Log, snapshots: Snapshots) -> None:
        self.snapshots, self._log = snapshots, log
        self._resources = BoundedCache[Ref, Resource](resource_bytes)
        self._recent = BoundedCache[Ref, _ReadResource](lambda read: resource_bytes(read.resource))
        self._reads_in_flight: dict[Ref, object] = {}
        """Reads of `recent` whose resource has not been invalidated since they began."""
        self._loads: dict[Ref, asyncio.Future[Resource | None]] = {}
        self._followed: dict[str, Position] = {}
        """By stream: every event up to this position was given to `advance`."""
        self._passed: dict[Ref, Position] = {}
        """Resources that are being loaded: the last event that was given to `advance` meanwhile."""
        self._usable_from: dict[str, Position] = {}
        """By stream: see `use_followed`."""

    def cached(self, ref: Ref) -> Resource | None:
        """The resource as this process last read or wrote it; it may be stale."""
        return self._resources.get(ref)

    def invalidate(self, ref: Ref) -> None:
        """Called by a follower of the log for each event: `recent` must read this resource."""
        self._recent.pop(ref)
        self._reads_in_flight.pop(ref, None)

    def invalidate_all(self) -> None:
        """Called by a follower that may have missed events."""
        self._recent.clear()
        self._reads_in_flight.clear()
        if self._followed:
            self._resources.clear()

    def advance(self, followed: Followed) -> None:
        """Called by a follower that gives every event of a stream, in order: applies the event to
        the cached resource, or drops the resource where that cannot be done. So no cached resource
        is older than the last event that was given (`as_of`)."""
        ref, position = followed.ref, followed.position
        self.invalidate(ref)
        self._followed[position.stream] = position
        if ref in self._loads:
            self._passed[ref] = position
        held = self._resources.get(ref)
        if held is not None and held.position >= position:
            return  # this process appended it, or has read it already
        previous = held.position if held else BEGINNING
        if _ordinary(followed) and followed.previous == previous:
            with suppress(Undecodable):
                self._resources.put(ref, _applied(held, [followed]))
                return
        self._resources.pop(ref)

    def stop_using_followed(self) -> None:
        """Called when this process takes work over: `as_of` gives nothing until `use_followed`."""
        self._usable_from.clear()

    def use_followed(self, stream: str, end: Position) -> None:
        """`as_of` gives what is cached of a stream once `advance` has reached a position: its end,
        asked for after this process took its work over. Before it, events may be
        missing in what is cached that a former process caused in the cloud."""
        self._usable_from[stream] = end

    def as_of(self, ref: Ref, at: Position) -> Resource | None:
        """The cached resource, if it includes every event up to a position of its stream; None:
        ask `current`. It costs no question, and may be older than the answer to one."""
        followed = self._followed.get(at.stream, BEGINNING)
        usable_from = self._usable_from.get(at.stream)
        if followed == BEGINNING or usable_from is None or followed < usable_from:
            return None
        held = self._resources.get(ref)
        if held is None or held.position.stream != at.stream:
            return None
        return held if at <= held.position or at <= followed else None

    async def current(self, ref: Ref) -> Resource | None:
        """The resource at its last position according to the leader, deleted or not; None if it
        has no event.

        Callers that arrive during a load share the next one, which begins after they arrived.

        Raises:
            LogUnavailable: the leader did not answer, or the history up to that position was not
                read.
            Undecodable: this release cannot decode one of its events.
            EventMissing: the log has lost one of them.
        """
        loading = self._loads.get(ref)
        if loading is not None:
            await asyncio.wait([loading])
            next_load = self._loads.get(ref)
            if next_load is not None:
                return await asyncio.shield(next_load)
        return await self._shared_load(ref)

    async def recent(self, ref: Ref) -> Resource | None:
        """The resource as it was at most RECENT_S ago. One that was being deleted is read again.

        Raises:
            LogUnavailable, Undecodable: as `current`.
        """
        resource = self.recently_read(ref)
        if resource is None:
            now, reading = time.monotonic(), self._reads_in_flight.setdefault(ref, object())
            try:
                resource = await self.current(ref)
            finally:
                valid = self._reads_in_flight.get(ref) is reading
                if valid:
                    del self._reads_in_flight[ref]
            if valid:
                self._recent.pop(ref)
                if resource is not None and not resource.terminating:
                    self._recent.put(ref, _ReadResource(now, resource))
        return resource

    def recently_read(self, ref: Ref) -> Resource | None:
        """The answer of `recent` without reading; None where it would have to read, also because
        this process knows a newer position."""
        read = self._recent.get(ref)
        if read is None or time.monotonic() - read.at > RECENT_S:
            return None
        resource, cached = read.resource, self._resources.get(ref)
        return resource if cached is None or cached.position <= resource.position else None

    async def _shared_load(self, ref: Ref) -> Resource | None:
        load = self._loads[ref] = asyncio.get_running_loop().create_future()
        try:
            resource = await self._load(ref)
            load.set_result(resource)
            return resource
        except BaseException as error:
            cancelled = LogUnavailable("the load of a resource was cancelled")
            load.set_exception(error if isinstance(error, Exception) else cancelled)
            load.exception()  # retrieved here, because no other caller may be waiting for it
            raise
        finally:
            del self._loads[ref]
            self._passed.pop(ref, None)

    async def _load(self, ref: Ref) -> Resource | None:
        known = self._resources.get(ref)
        latest = await self._log.latest(ref)
        last = latest.position if latest else BEGINNING
        if known is not None and last < known.position:
            if error := await self._lost(known):
                raise error
            return self._resources.get(ref)  # of a leader that lags
        before = self._resources.get(ref)
        if latest is None or (before is not None and last <= before.position):
            return before  # this process has read or written a newer event meanwhile
        if latest.previous == (before.position if before else BEGINNING) and _ordinary(latest):
            resource = _applied(before, [latest])
        else:
            before = before or await self._snapshot(ref, last)
            resource = await self._read(ref, before, last)
        self._keep(resource, complete=self._passed.get(ref, BEGINNING) <= last)
        await self._save(resource, before)
        return resource

    async def _read(self, ref: Ref, before: Resource | None, last: Position) -> Resource:
        """The history after a known state, applied batch by batch: never held as a whole."""
        resource, after = before, before.position if before else BEGINNING
        async with aclosing(self._log.read_batches(ref, after=after, up_to=last)) as batches:
            async for batch in batches:
                ordinary = [each for each in batch if _ordinary(each)]
                if len(ordinary) < len(batch):  # an event may leave out some of earlier batches
                    history = await self._log.read(ref, after=after, up_to=last)
                    return _applied(before, _chained(before, history))
                resource = _applied(resource, _chained(resource, ordinary))
        if resource is None:
            raise undecodable(ref, "a resource with a last event has no history")
        return resource

    async def _snapshot(self, ref: Ref, last: Position) -> Resource | None:
        """A snapshot that is newer than the whole log belongs to another log, or the log was
        restored from a backup: it is ignored.

        Raises:
            EventMissing: the log has lost the event of the snapshot.
        """
        snapshot = await self.snapshots.load(ref)
        if snapshot is None or snapshot.position <= last:
            return snapshot
        if error := await self._lost(snapshot):
            raise error
        return None  # of another log, or another process has appended meanwhile

    async def _lost(self, known: Resource) -> EventMissing | None:
        """The exception where the log has lost the last event of a resource that was read. None
        where the leader lags, or the log was cut: it does not know the position at all."""
        if not await has_lost(self._log, known.ref, known.position):
            return None
        error = missing(known.ref, known.position)
        error.known = known
        return error

    async def store(self, resource: Resource, *, before: Resource | None) -> None:
        """Cache a resource that this process has appended an event to, and save a snapshot if one
        is due."""
        followed = self._followed.get(resource.position.stream, BEGINNING)
        self._keep(resource, complete=followed < resource.position)
        await self._save(resource, before)

    def _keep(self, resource: Resource, *, complete: bool) -> None:
        """`complete`: the follower has not given a later event of the resource. Otherwise what it
        gave stays cached, or nothing."""
        held = self._resources.get(resource.ref)
        if held is not None and held.position >= resource.position:
            return
        if complete:
            self._resources.put(resource.ref, resource)
        else:
            self._resources.pop(resource.ref)

    async def _save(self, resource: Resource, before: Resource | None) -> None:
        if snapshot_due(resource, before):
            await self.snapshots.save(resource)


def _ordinary(each: Followed) -> TypeGuard[RecordedEvent]:
    return isinstance(each, RecordedEvent) and not isinstance(each.event, Closed)


def _chained(before: Resource | None, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """The events that follow a state, or a whole history.

    Raises:
        EventMissing: one of them names another predecessor.
    """
    return readable(events, before.position if before else BEGINNING)


def _applied(before: Resource | None, history: Sequence[RecordedEvent]) -> Resource:
    """Raises Undecodable where an event cannot be applied: to readers and writers, that is the same
    damage as an event that cannot be decoded."""
    try:
        resource = fold(history, before)
        assert resource is not None, "a resource with a last event has no history"
    except CANNOT_APPLY as error:
        raise undecodable(history[0].ref, reason_of(error)) from error
    return resource
