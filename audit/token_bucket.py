"""Token buckets: so many at once (the burst), and so many a second from there on. Pure.

The arithmetic is `FillRate`; the rate limits of requests (`edge.requests.rates`) use it too.
`Throttle` adds what the audit stream needs: it counts what it drops, and holds the last dropped
item until a token is there, so that a flood ends with an entry that carries its count.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
ROUNDING_S = 1e-9
"""Sums of fractions are not exact."""


class FillRate:
    """The capacity of a bucket and how fast it fills.

    A bucket itself is one number: the time, in seconds, at which it will be full again. One that is
    full needs no memory.
    """

    __slots__ = ("_capacity_s", "_interval_s")

    def __init__(self, *, per_s: float, burst: float) -> None:
        self._interval_s = 1 / per_s
        self._capacity_s = self._interval_s * burst

    def take(self, full_at: float, now: float) -> tuple[float, float]:
        """Take one token from a bucket.

        Returns the bucket afterwards, and the seconds until there is a token: 0 where one was
        taken.
        """
        later = max(full_at, now) + self._interval_s
        wait_s = later - now - self._capacity_s
        return (full_at, wait_s) if wait_s > ROUNDING_S else (later, 0.0)


class Released(NamedTuple, Generic[T]):
    """An item that may pass, and how many before it were dropped."""

    item: T
    dropped: int


class _Bucket(Generic[T]):
    __slots__ = ("dropped", "full_at", "held")

    def __init__(self, full_at: float) -> None:
        self.full_at = full_at
        self.held: list[T] = []
        """At most one."""
        self.dropped = 0


class Throttle(Generic[T]):
    """A token bucket for each key. Of more than `keys_max` keys, the longest unused one is evicted,
    and the item that it holds counts as dropped."""

    def __init__(
        self,
        *,
        burst: int,
        per_s: float,
        keys_max: int,
        weight: Callable[[T], int] = lambda item: 1,
    ) -> None:
        """`weight`: the number that a dropped item adds to the count of its key."""
        self._rate, self._keys_max = FillRate(per_s=per_s, burst=burst), keys_max
        self._weight = weight
        self._buckets: OrderedDict[str, _Bucket[T]] = OrderedDict()
        self._holding: set[str] = set()
        self.dropped = 0
        """Of all keys."""

    def __len__(self) -> int:
        """The number of items held."""
        return len(self._holding)

    def take(self, key: str, item: T, now: float) -> Released[T] | None:
        """The item, if it may pass now; None if it is held from now on, in place of the one that
        was held before."""
        bucket = self._bucket(key, now)
        if bucket.held:
            self.dropped += 1
            bucket.dropped += self._weight(bucket.held[0])
        if self._passes(bucket, now):
            self._holding.discard(key)
            return self._emptied(bucket, item)
        bucket.held = [item]
        self._holding.add(key)
        return None

    def due(self, now: float) -> list[Released[T]]:
        """The held items that may pass now."""
        return [
            self._released(key)
            for key in list(self._holding)
            if self._passes(self._buckets[key], now)
        ]

    def rest(self) -> list[Released[T]]:
        """All held items."""
        return [self._released(key) for key in list(self._holding)]

    def missed(self, key: str, number: int) -> None:
        """Count items that passed here and were dropped later: the key's next item says so."""
        if key in self._buckets:
            self._buckets[key].dropped += number

    def _bucket(self, key: str, now: float) -> _Bucket[T]:
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
            return bucket
        if len(self._buckets) >= self._keys_max:
            oldest, evicted = self._buckets.popitem(last=False)
            self._holding.discard(oldest)
            self.dropped += len(evicted.held)
        bucket = self._buckets[key] = _Bucket(now)
        return bucket

    def _passes(self, bucket: _Bucket[T], now: float) -> bool:
        bucket.full_at, wait_s = self._rate.take(bucket.full_at, now)
        return not wait_s

    def _released(self, key: str) -> Released[T]:
        self._holding.discard(key)
        bucket = self._buckets[key]
        return self._emptied(bucket, bucket.held[0])

    def _emptied(self, bucket: _Bucket[T], item: T) -> Released[T]:
        dropped, bucket.dropped = bucket.dropped, 0
        bucket.held = []
        return Released(item, dropped)
