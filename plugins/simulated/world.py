"""View of the cloud for provisioning one thing: other things, free addresses, time, randomness."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import merge

from secaplane.plugins.simulated.catalogue import Catalogue
from secaplane.plugins.simulated.ranges import HeldRange, first_free
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject

Clock = Callable[[], float]
"""Seconds since 1970, so that a delay goes on while the process is down."""
Chance = Callable[[int], bytes]
"""(number of bytes) -> random bytes."""


class CloudView:
    """Read access of a provisioner to the rest of the cloud."""

    def __init__(
        self, state: CloudState, catalogue: Catalogue, clock: Clock, chance: Chance
    ) -> None:
        self.catalogue = catalogue
        self.random = chance
        self._state = state
        self._clock = clock

    def existing(self, uid: str | None) -> CloudObject | None:
        """The thing with this uid; None if the cloud never made it, or removes it."""
        thing = self._state.thing(uid) if uid is not None else None
        return None if thing is None or thing.terminating else thing

    def target(self, desired: DesiredObject, pointer: str) -> CloudObject | None:
        """The target of a reference in the desired state, if it exists."""
        return self.existing(desired.targets.get(pointer))

    def referrers(self, uid: str, kind: str) -> list[CloudObject]:
        """The things of a kind that refer to this one or are contained in it."""
        return [thing for thing in self._state.users(uid, kind) if not thing.terminating]

    def free(
        self, within: HeldRange, *, uid: str, size: int = 1, besides: Iterable[HeldRange] = ()
    ) -> int | None:
        """The first number of a free block of `size`. Ranges that `uid` itself holds count as free,
        because it chooses anew; `besides` are its choices so far."""
        chosen = sorted((h.first, h.last) for h in besides if h.space == within.space)
        left = self._state.full.start(within, size)
        first = first_free(left, size, merge(self._state.held_by_others(left, uid), chosen))
        if first is not None and not chosen:
            self._state.full.learn(within, size, first)
        return first

    def now(self) -> str:
        """The time in the format of the API: to the millisecond."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
