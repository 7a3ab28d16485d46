"""Outages: failures that are no fault of a resource, and whose end ends the backoff of all. Pure.

While the cloud, the log or the database does not answer, every address that needs it fails and
waits longer and longer. One of them is tried every one to two seconds (a probe, as a half-open
circuit breaker has it); the first that succeeds shows that the outage is over, and the others are
tried again within a second (docs/decisions/043).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum
from random import random
from typing import NamedTuple

from secaplane.model.shape import Ref

PROBE_S_MIN, PROBE_S_MAX = 1.0, 2.0
SPREAD_S, SPREAD_S_MAX = 1.0, 60.0
"""Addresses are tried again within that time after an outage. The time doubles for an address with
each outage that ended without a success of its own: if the cloud fails for this address alone, it
is tried as rarely as with backoff."""


class System(Enum):
    CLOUD = "cloud"
    LOG = "log"
    ROWS = "rows"
    """The database, or the projector that fills it."""


class ReleasedAddress(NamedTuple):
    """An address to reconcile again after an outage, in that many seconds."""

    ref: Ref
    seconds: float


class OutageBackoff:
    """The addresses that failed in each outage that goes on."""

    def __init__(self, random: Callable[[], float] = random) -> None:
        self._random = random
        self._failed: dict[System, dict[Ref, None]] = {each: {} for each in System}
        self._survived = defaultdict[Ref, int](int)
        """OutageBackoff that ended for an address since its last success."""

    def failed(self, ref: Ref, system: System) -> None:
        self._failed[system].setdefault(ref)

    def answered(self, ref: Ref) -> Sequence[ReleasedAddress]:
        """Take a reconciliation that was not stopped by an outage. It ends those in which its
        address failed: the other addresses are answered."""
        ended = [failed for failed in self._failed.values() if ref in failed]
        others = {each: None for failed in ended for each in failed if each != ref}
        for failed in ended:
            failed.clear()
        return [ReleasedAddress(each, self._spread_s(each)) for each in others]

    def succeeded(self, ref: Ref) -> Sequence[ReleasedAddress]:
        """As `answered`, and a success of the address itself."""
        self._survived.pop(ref, None)
        return self.answered(ref)

    def keep(self, wanted: Callable[[Ref], bool]) -> None:
        """Drop every other address: another process reconciles it now."""
        for failed in self._failed.values():
            for ref in [each for each in failed if not wanted(each)]:
                del failed[ref]
        for ref in [each for each in self._survived if not wanted(each)]:
            del self._survived[ref]

    def probes(self) -> Sequence[Ref]:
        """One address of each outage, another one each time."""
        probes = list[Ref]()
        for failed in self._failed.values():
            if failed:
                ref = next(iter(failed))
                del failed[ref]
                failed[ref] = None
                probes.append(ref)
        return probes

    def probe_delay_s(self) -> float:
        return PROBE_S_MIN + (PROBE_S_MAX - PROBE_S_MIN) * self._random()

    def _spread_s(self, ref: Ref) -> float:
        longest = min(SPREAD_S_MAX, SPREAD_S * (1 << min(self._survived[ref], 16)))
        self._survived[ref] += 1
        return self._random() * longest
