"""Resources as this process last saw them, brought up to date by as few events as possible."""

import asyncio
import time
from collections import OrderedDict

from secaplane.eventlog.log import Log, Unanswered
from secaplane.eventlog.snapshots import EVERY_EVENTS, Snapshots
from secaplane.model.evolve import evolve, fold
from secaplane.model.shape import NOWHERE, Position, Ref, Resource

KEPT_MAX = 4096
LATELY_S = 5.0


class Folds:
    def __init__(self, log: Log, snapshots: Snapshots) -> None:
        self._log, self._snapshots = log, snapshots
        self._kept: OrderedDict[Ref, Resource] = OrderedDict()
        self._lately: dict[Ref, tuple[float, Resource]] = {}
        self._asking: dict[Ref, object] = {}
        """What `lately` asks for now, and nothing was heard of since."""
        self._looks: dict[Ref, asyncio.Future[Resource | None]] = {}

    def known(self, ref: Ref) -> Resource | None:
        """What this process saw last, which may be old."""
        return self._kept.get(ref)

    def hear(self, ref: Ref) -> None:
        """A follower of the log has come by an event of it: what was known a moment ago counts no
        longer."""
        self._lately.pop(ref, None)
        self._asking.pop(ref, None)

    def missed(self) -> None:
        """A follower knows that something came by without it."""
        self._lately.clear()
        self._asking.clear()

    async def fresh(self, ref: Ref) -> Resource | None:
        """The resource, gone or not, at the position the leader names last.

        Those who ask while a look is under way share the next one: it begins after they asked.

        Raises:
            Unanswered: the leader, or the history up to that position, could not be had.
        """
        under_way = self._looks.get(ref)
        if under_way is not None:
            await asyncio.wait([under_way])
            begun = self._looks.get(ref)
            if begun is not None:
                return await asyncio.shield(begun)
        return await self._shared_look(ref)

    async def lately(self, ref: Ref) -> Resource | None:
        """As `fresh`, or as it was found a moment ago and lived: for what seldom changes.

        Raises:
            Unanswered: as `fresh`.
        """
        resource = self.remembered(ref)
        if resource is None:
            now, asking = time.monotonic(), self._asking.setdefault(ref, object())
            try:
                resource = await self.fresh(ref)
            finally:
                still = self._asking.get(ref) is asking
                if still:
                    del self._asking[ref]
            if still:
                self._lately.pop(ref, None)
                if resource is not None and not resource.going:
                    self._lately[ref] = (now, resource)
        return resource

    def remembered(self, ref: Ref) -> Resource | None:
        """What `lately` answers at once; None where it would have to ask, also because this process
        has changed it since."""
        found_at, resource = self._lately.get(ref, (0.0, None))
        if resource is None or time.monotonic() - found_at > LATELY_S:
            return None
        seen = self._kept.get(ref)
        return resource if seen is None or seen.position <= resource.position else None

    async def _shared_look(self, ref: Ref) -> Resource | None:
        look = self._looks[ref] = asyncio.get_running_loop().create_future()
        try:
            resource = await self._look(ref)
            look.set_result(resource)
            return resource
        except BaseException as error:
            passed_on = error if isinstance(error, Exception) else Unanswered("the look was ended")
            look.set_exception(passed_on)
            look.exception()  # nobody else may be waiting for it
            raise
        finally:
            del self._looks[ref]

    async def _look(self, ref: Ref) -> Resource | None:
        latest = await self._log.latest(ref)
        if latest is None:
            return None
        last = latest.position
        here = self._kept.get(ref)
        if here is not None and here.position == last:
            self._kept.move_to_end(ref)
            return here
        if latest.before == (here.position if here else NOWHERE):
            resource = evolve(here, latest)
        else:
            here = here or await self._snapshot(ref, last)
            after = here.position if here else NOWHERE
            found = fold(await self._log.read(ref, after=after, up_to=last), here)
            assert found is not None, f"{ref} has a last event and no history"
            resource = found
        await self.keep(resource, before=here)
        return resource

    async def _snapshot(self, ref: Ref, last: Position) -> Resource | None:
        """One that is newer than the log is of another log, or of one restored from a backup."""
        found = await self._snapshots.load(ref)
        return found if found is not None and found.position <= last else None

    async def keep(self, resource: Resource, *, before: Resource | None) -> None:
        """Remember, and every so many events take a snapshot."""
        self._kept[resource.ref] = resource
        self._kept.move_to_end(resource.ref)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        if resource.events // EVERY_EVENTS > (before.events if before else 0) // EVERY_EVENTS:
            await self._snapshots.save(resource)
