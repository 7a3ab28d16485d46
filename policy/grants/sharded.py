"""A mapping in parts. A plain dict of a hundred thousand entries moves all of them when it grows,
and everybody else waits for milliseconds."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
PARTS = 16


class ShardedDict(Generic[K, V]):
    def __init__(self) -> None:
        self._parts: tuple[dict[K, V], ...] = tuple({} for _ in range(PARTS))

    def part(self, key: K) -> dict[K, V]:
        """Where a key is, if it is there."""
        return self._parts[hash(key) % PARTS]

    def get(self, key: K) -> V | None:
        return self.part(key).get(key)

    def __iter__(self) -> Iterator[K]:
        for part in self._parts:
            yield from part
