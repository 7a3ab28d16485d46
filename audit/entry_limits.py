"""The limits of each process on audit entries on their way to the stream. Pure.

    refused writes alone:  the same request again -> all of one caller -> all of this process
    every other entry:                               all of one type and caller

What is over a limit is counted, and the next entry of its type and caller that passes carries the
number (`dropped`). Refused writes have lower limits than refused callers: a client that repeats a
request which cannot succeed is no attack, and must displace no entry about one.
"""

from collections.abc import Iterator
from itertools import chain

from msgspec.structs import replace

from secaplane.audit.entries import Entry, subject
from secaplane.audit.token_bucket import FillRate, Released, Throttle

PER_S, BURST = 10.0, 100
"""Of one type and caller."""
CALLERS_MAX = 10_000
REFUSED = "refused"
"""The type of entries that have the limits below, too."""
REPEATED_PER_S, REPEATED_BURST = 1 / 60, 2
"""Of one refused request: caller, verb, path and status."""
REPEATED_MAX = 2_000
"""Refused requests that are compared with later ones."""
REFUSED_PER_S, REFUSED_BURST = 1.0, 50
"""Of the refused writes of one caller."""
ALL_REFUSED_PER_S, ALL_REFUSED_BURST = 20.0, 300
"""Of the refused writes of all callers of a process."""


class EntryLimits:
    def __init__(self) -> None:
        self._entries = Throttle[Entry](burst=BURST, per_s=PER_S, keys_max=CALLERS_MAX)
        self._repeated = Throttle[Entry](
            burst=REPEATED_BURST, per_s=REPEATED_PER_S, keys_max=REPEATED_MAX, weight=_weight
        )
        self._refused = Throttle[Entry](
            burst=REFUSED_BURST, per_s=REFUSED_PER_S, keys_max=CALLERS_MAX, weight=_weight
        )
        self._all_refused = FillRate(per_s=ALL_REFUSED_PER_S, burst=ALL_REFUSED_BURST)
        self._all_full_at = 0.0
        self._left_out = 0

    def __len__(self) -> int:
        """The number of entries held until they may pass."""
        return len(self._entries) + len(self._repeated) + len(self._refused)

    @property
    def dropped(self) -> int:
        """Entries over a limit."""
        throttles = (self._entries, self._repeated, self._refused)
        return self._left_out + sum(each.dropped for each in throttles)

    def take(self, entry: Entry, now: float) -> Entry | None:
        """The entry, if it may pass now, with the number of those that were dropped before it."""
        if entry.type != REFUSED:
            return _counted(self._entries.take(subject(entry), entry, now))
        repeated = self._repeated.take(_request(entry), entry, now)
        return None if repeated is None else self._take_refused(_with(repeated), now)

    def due(self, now: float) -> list[Entry]:
        """The held entries that may pass now."""
        again = (self._take_refused(_with(each), now) for each in self._repeated.due(now))
        refused = (self._of_all(_with(each), now) for each in self._refused.due(now))
        others = (_with(each) for each in self._entries.due(now))
        return [each for each in chain(again, refused, others) if each is not None]

    def rest(self) -> Iterator[Entry]:
        """All held entries."""
        for throttle in (self._repeated, self._refused, self._entries):
            yield from map(_with, throttle.rest())

    def missed(self, entry: Entry) -> None:
        """Count an entry that passed here and was dropped later."""
        throttle = self._refused if entry.type == REFUSED else self._entries
        throttle.missed(subject(entry), 1 + entry.dropped)

    def _take_refused(self, entry: Entry, now: float) -> Entry | None:
        passed = _counted(self._refused.take(subject(entry), entry, now))
        return None if passed is None else self._of_all(passed, now)

    def _of_all(self, entry: Entry, now: float) -> Entry | None:
        self._all_full_at, wait_s = self._all_refused.take(self._all_full_at, now)
        if not wait_s:
            return entry
        self._left_out += 1
        self.missed(entry)
        return None


def _request(entry: Entry) -> str:
    """Names what is refused again when a client repeats a request."""
    return f"{subject(entry)} {entry.verb} {entry.status} {entry.path}"


def _weight(entry: Entry) -> int:
    """The requests that an entry stands for."""
    return 1 + entry.dropped


def _with(released: Released[Entry]) -> Entry:
    entry, dropped = released
    return replace(entry, dropped=entry.dropped + dropped) if dropped else entry


def _counted(released: Released[Entry] | None) -> Entry | None:
    return None if released is None else _with(released)
