"""The lease of this process, and the standing still of another's. Pure: clocks are given.

The holder computes the end of its lease from the time before it sent the renewal. Another process
waits until it has itself seen the same revision for `LEASE_S`, which begins later and is longer, so
it waits beyond that end whatever the network does. Only differences of one machine's CLOCK_BOOTTIME
are compared, which counts while a machine sleeps and does not follow the wall clock.
"""

import time
from collections.abc import Callable, Collection

import msgspec

RENEW_S = 1.0
LEASE_S = 6.0
"""Another process takes over when the revision has stood still for that long on its clock."""
MARGIN_S = 0.5
"""The holder's lease ends earlier by that: more than two clocks differ in rate in `LEASE_S`."""
SENT_MAX = 64
"""Renewals without an answer that are remembered."""
NEVER = float("-inf")
Clock = Callable[[], float]


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(Exception):
    """This process does not hold the partition now, or its lease is over: it must neither call the
    cloud nor append a report."""


class Renewal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value under the key of a member."""

    member: str
    token: str = ""
    """Unique to one write, so that a renewal without an answer is recognised."""
    dead: bool = False
    """Final: written by the process that found the revision standing still."""


class OwnLease:
    """The lease on everything that this process holds, extended by acknowledged renewals."""

    def __init__(self, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock, self._new_id = clock, new_id
        self.member = new_id()
        self.revision = 0
        """Of the key of this member, as this process has read or written it."""
        self._ends_at = NEVER
        self._sent: dict[str, float] = {}
        """Token -> the time before the renewal was sent; of those without an answer."""

    @property
    def over(self) -> bool:
        return self._clock() >= self._ends_at

    @property
    def renewed(self) -> bool:
        """True once a renewal of this member was acknowledged."""
        return self._ends_at != NEVER

    def lose(self) -> None:
        """Begin anew as another member."""
        self.member, self.revision = self._new_id(), 0
        self._ends_at = NEVER
        self._sent.clear()

    def renewal(self) -> Renewal:
        """The next renewal; its time is taken now, so it is sent after this."""
        token = self._new_id()
        if len(self._sent) == SENT_MAX:
            self._sent.popitem()  # not the oldest, which were sent before the connection was lost
        self._sent[token] = self._clock()
        return Renewal(self.member, token)

    def acknowledged(self, renewal: Renewal, revision: int) -> None:
        sent_at = self._sent.get(renewal.token)
        if renewal.member == self.member and sent_at is not None:
            self.revision, self._ends_at = revision, sent_at + LEASE_S - MARGIN_S
            self._sent.clear()

    def recognises(self, found: Renewal | None, revision: int) -> bool:
        """Compare with the value under the key after a renewal failed. False if the lease is lost:
        another process has written the key, or it is gone."""
        if found is None or found.token not in self._sent:
            return False
        self.acknowledged(found, revision)
        return found.member == self.member


class StandStill:
    """Since when this process has seen the same revision under the key of each other member."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def see(self, member: str, revision: int) -> float:
        """Note an answer that has arrived; seconds for which the revision has not changed."""
        now = self._clock()
        former, since = self._seen.get(member, (revision, now))
        if former != revision:
            since = now
        self._seen[member] = (revision, since)
        return now - since

    def keep(self, members: Collection[str]) -> None:
        """Forget all others."""
        self._seen = {each: seen for each, seen in self._seen.items() if each in members}
