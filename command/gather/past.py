"""Reads the past of resources from the log: only the events that no process has folded yet."""

from secaplane.eventlog.decoding import readable, undecodable
from secaplane.eventlog.log import Log
from secaplane.eventlog.snapshots import SNAPSHOT_INTERVAL, Snapshots, snapshot_due
from secaplane.model.bounded_cache import CACHED_BYTES_MAX, BoundedCache
from secaplane.model.past import Past, after_events, created, past_bytes, past_of, updated
from secaplane.model.shape import Ref, Resource


class PastReader:
    """The pasts of the resources that this process checks."""

    def __init__(self, log: Log, snapshots: Snapshots) -> None:
        self._log, self._snapshots = log, snapshots
        self._held = BoundedCache[Ref, Past](past_bytes)

    async def read(self, now: Resource) -> Past:
        """The past of a resource up to its last event.

        Raises:
            LogUnavailable: the log did not answer.
            Undecodable: this release cannot decode one of its events.
        """
        known = self._held.get(now.ref)
        known = known if known and _leads_to(now, known) else None
        if now.events - (known.now.events if known else 0) > SNAPSHOT_INTERVAL:
            known = await self._saved(now) or known
        if known is not None and known.now.position == now.position:
            return known
        after = known.now.position if known else now.life.moved(-1)
        history = await self._log.read(now.ref, after=after, up_to=now.position)
        past = after_events(known, readable(history, after) if known else history)
        if past is None:
            raise undecodable(now.ref, "a resource with a last event has no history")
        await self._keep(past, known)
        return past

    async def after_put(self, before: Resource | None, now: Resource) -> Past | None:
        """The past after a PUT that this process recorded; None where it takes a question to the
        log. `before` is None where the PUT created the resource."""
        if before is None:
            past, known = created(now), None
        else:
            known = self._held.get(now.ref)
            if known is None or known.now.position != before.position:
                known = past_of(before)
            if known is None:
                return None
            past = updated(known, now)
        await self._keep(past, known)
        return past

    async def _saved(self, now: Resource) -> Past | None:
        past = await self._snapshots.load_past(now.ref)
        return past if past and _leads_to(now, past) else None

    async def _keep(self, past: Past, before: Past | None) -> None:
        """A newer past of the same resource stays; one that is larger than the cache is not
        held."""
        ref = past.now.ref
        held = self._held.get(ref)
        if held is None or held.now.position <= past.now.position:
            if past.changes_bytes <= CACHED_BYTES_MAX:
                self._held.put(ref, past)
            else:
                self._held.pop(ref)
        if snapshot_due(past.now, before.now if before else None):
            await self._snapshots.save_past(past)


def _leads_to(now: Resource, past: Past) -> bool:
    """True for an earlier past of the same life."""
    return past.now.life == now.life and past.now.position <= now.position
