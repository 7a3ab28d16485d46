"""The cloud as one thing sees it while it is made: what else there is, what is free, the time."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import merge

from secaplane.plugins.simulated.catalogue import Catalogue
from secaplane.plugins.simulated.ranges import HeldRange, first_free
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject

Clock = Callable[[], float]
"""Seconds since 1970: a delay runs on while the cloud is away, and may be over when it is back."""
Chance = Callable[[int], bytes]
"""So many random bytes."""


class CloudView:
    def __init__(
        self, state: CloudState, catalogue: Catalogue, clock: Clock, chance: Chance
    ) -> None:
        self.catalogue = catalogue
        self.random = chance
        self._state = state
        self._clock = clock

    def there(self, uid: str | None) -> CloudObject | None:
        """What was never asked for here is not there yet, whatever the house knows of it."""
        thing = self._state.thing(uid) if uid is not None else None
        return None if thing is None or thing.terminating else thing

    def bound(self, desired: DesiredObject, pointer: str) -> CloudObject | None:
        """What a reference of the wish means, if that is there."""
        return self.there(desired.targets.get(pointer))

    def users(self, uid: str, kind: str) -> list[CloudObject]:
        """The things of that kind that refer to this one, or lie in it."""
        return [thing for thing in self._state.users(uid, kind) if not thing.terminating]

    def free(
        self, within: HeldRange, *, uid: str, size: int = 1, besides: Iterable[HeldRange] = ()
    ) -> int | None:
        """The first of so many numbers that nobody has but perhaps this uid, which chooses anew;
        `besides`: what it has chosen already."""
        chosen = sorted((h.first, h.last) for h in besides if h.space == within.space)
        left = self._state.full.start(within, size)
        found = first_free(left, size, merge(self._state.held_by_others(left, uid), chosen))
        if found is not None and not chosen:
            self._state.full.learn(within, size, found)
        return found

    def now(self) -> str:
        """As the house writes times: to the millisecond."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
