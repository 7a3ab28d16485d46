"""A mapping in shards: a plain dict of a hundred thousand entries moves all of them when it grows,
which blocks the event loop for milliseconds."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARDS = 16


class ShardedDict(Generic[K, V]):
    def __init__(self) -> None:
        self._shards: tuple[dict[K, V], ...] = tuple({} for _ in range(SHARDS))

    def shard(self, key: K) -> dict[K, V]:
        """The shard that holds a key, if the key is present."""
        return self._shards[hash(key) % SHARDS]

    def get(self, key: K) -> V | None:
        return self.shard(key).get(key)

    def __iter__(self) -> Iterator[K]:
        for shard in self._shards:
            yield from shard
