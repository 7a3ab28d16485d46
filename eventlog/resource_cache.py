"""Resources as this process last saw them, brought up to date by as few events as possible."""

import asyncio
import time
from collections import OrderedDict

from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.snapshots import EVERY_EVENTS, Snapshots
from secaplane.model.evolve import evolve, fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource

KEPT_MAX = 4096
RECENT_S = 5.0


class ResourceCache:
    def __init__(self, log: Log, snapshots: Snapshots) -> None:
        self._log, self._snapshots = log, snapshots
        self._resources: OrderedDict[Ref, Resource] = OrderedDict()
        self._recent: dict[Ref, tuple[float, Resource]] = {}
        self._reads_in_flight: dict[Ref, object] = {}
        """What `lately` asks for now, and nothing was heard of since."""
        self._loads: dict[Ref, asyncio.Future[Resource | None]] = {}

    def cached(self, ref: Ref) -> Resource | None:
        """What this process saw last, which may be old."""
        return self._resources.get(ref)

    def invalidate(self, ref: Ref) -> None:
        """A follower of the log has come by an event of it: what was known a moment ago counts no
        longer."""
        self._recent.pop(ref, None)
        self._reads_in_flight.pop(ref, None)

    def invalidate_all(self) -> None:
        """A follower knows that something came by without it."""
        self._recent.clear()
        self._reads_in_flight.clear()

    async def current(self, ref: Ref) -> Resource | None:
        """The resource, gone or not, at the position the leader names last.

        Those who ask while a look is under way share the next one: it begins after they asked.

        Raises:
            Unanswered: the leader, or the history up to that position, could not be had.
        """
        under_way = self._loads.get(ref)
        if under_way is not None:
            await asyncio.wait([under_way])
            begun = self._loads.get(ref)
            if begun is not None:
                return await asyncio.shield(begun)
        return await self._shared_load(ref)

    async def recent(self, ref: Ref) -> Resource | None:
        """As `fresh`, or as it was found a moment ago and lived: for what seldom changes.

        Raises:
            Unanswered: as `fresh`.
        """
        resource = self.recently_read(ref)
        if resource is None:
            now, asking = time.monotonic(), self._reads_in_flight.setdefault(ref, object())
            try:
                resource = await self.current(ref)
            finally:
                still = self._reads_in_flight.get(ref) is asking
                if still:
                    del self._reads_in_flight[ref]
            if still:
                self._recent.pop(ref, None)
                if resource is not None and not resource.terminating:
                    self._recent[ref] = (now, resource)
        return resource

    def recently_read(self, ref: Ref) -> Resource | None:
        """What `lately` answers at once; None where it would have to ask, also because this process
        has changed it since."""
        found_at, resource = self._recent.get(ref, (0.0, None))
        if resource is None or time.monotonic() - found_at > RECENT_S:
            return None
        seen = self._resources.get(ref)
        return resource if seen is None or seen.position <= resource.position else None

    async def _shared_load(self, ref: Ref) -> Resource | None:
        look = self._loads[ref] = asyncio.get_running_loop().create_future()
        try:
            resource = await self._load(ref)
            look.set_result(resource)
            return resource
        except BaseException as error:
            passed_on = (
                error if isinstance(error, Exception) else LogUnavailable("the look was ended")
            )
            look.set_exception(passed_on)
            look.exception()  # nobody else may be waiting for it
            raise
        finally:
            del self._loads[ref]

    async def _load(self, ref: Ref) -> Resource | None:
        latest = await self._log.latest(ref)
        if latest is None:
            return None
        last = latest.position
        here = self._resources.get(ref)
        if here is not None and here.position == last:
            self._resources.move_to_end(ref)
            return here
        if latest.previous == (here.position if here else BEGINNING):
            resource = evolve(here, latest)
        else:
            here = here or await self._snapshot(ref, last)
            after = here.position if here else BEGINNING
            found = fold(await self._log.read(ref, after=after, up_to=last), here)
            assert found is not None, f"{ref} has a last event and no history"
            resource = found
        await self.store(resource, before=here)
        return resource

    async def _snapshot(self, ref: Ref, last: Position) -> Resource | None:
        """One that is newer than the log is of another log, or of one restored from a backup."""
        found = await self._snapshots.load(ref)
        return found if found is not None and found.position <= last else None

    async def store(self, resource: Resource, *, before: Resource | None) -> None:
        """Remember, and every so many events take a snapshot."""
        self._resources[resource.ref] = resource
        self._resources.move_to_end(resource.ref)
        while len(self._resources) > KEPT_MAX:
            self._resources.popitem(last=False)
        if resource.events // EVERY_EVENTS > (before.events if before else 0) // EVERY_EVENTS:
            await self._snapshots.save(resource)
