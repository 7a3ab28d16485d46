"""How many of each may pass: so many at once, and so many a second from there on. Pure.

The rest is not forgotten: the last one that did not pass is held until there is room again, and
goes on then with the number of those before it. So a flood ends with a line that counts it.
"""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Released(NamedTuple, Generic[T]):
    """What may go on, and how many before it did not."""

    each: T
    dropped: int


class _Bucket(Generic[T]):
    __slots__ = ("at", "dropped", "held", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left, self.at = left, at
        self.held: list[T] = []
        """At most one."""
        self.dropped = 0


class Throttle(Generic[T]):
    """A bucket for each key. Of more than `keys_max`, the one that was silent for longest is
    forgotten, and what it holds counts as dropped."""

    def __init__(self, *, burst: int, per_s: float, keys_max: int) -> None:
        self._burst, self._per_s, self._keys_max = float(burst), per_s, keys_max
        self._buckets: OrderedDict[str, _Bucket[T]] = OrderedDict()
        self._holding: set[str] = set()
        self.dropped = 0
        """In all."""

    def __len__(self) -> int:
        """How many are held."""
        return len(self._holding)

    def take(self, key: str, each: T, now: float) -> Released[T] | None:
        bucket = self._bucket(key, now)
        if bucket.held:
            self.dropped += 1
            bucket.dropped += 1
        if self._spent(bucket, now):
            self._holding.discard(key)
            return self._emptied(bucket, each)
        bucket.held = [each]
        self._holding.add(key)
        return None

    def due(self, now: float) -> list[Released[T]]:
        """What is held and may go on by now."""
        return [
            self._released(key)
            for key in list(self._holding)
            if self._spent(self._buckets[key], now)
        ]

    def rest(self) -> list[Released[T]]:
        """All that is held."""
        return [self._released(key) for key in list(self._holding)]

    def missed(self, key: str, number: int) -> None:
        """So many passed here and were dropped by somebody else: the next one says so."""
        if key in self._buckets:
            self._buckets[key].dropped += number

    def _bucket(self, key: str, now: float) -> _Bucket[T]:
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
            return bucket
        if len(self._buckets) >= self._keys_max:
            oldest, forgotten = self._buckets.popitem(last=False)
            self._holding.discard(oldest)
            self.dropped += len(forgotten.held)
        bucket = self._buckets[key] = _Bucket(self._burst, now)
        return bucket

    def _spent(self, bucket: _Bucket[T], now: float) -> bool:
        bucket.left = min(self._burst, bucket.left + max(0.0, now - bucket.at) * self._per_s)
        bucket.at = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True

    def _released(self, key: str) -> Released[T]:
        self._holding.discard(key)
        bucket = self._buckets[key]
        return self._emptied(bucket, bucket.held[0])

    def _emptied(self, bucket: _Bucket[T], each: T) -> Released[T]:
        dropped, bucket.dropped = bucket.dropped, 0
        bucket.held = []
        return Released(each, dropped)
