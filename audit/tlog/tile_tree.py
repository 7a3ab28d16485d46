"""Hashes of a tree, read from its tiles. Pure: a function brings the bytes of a tile."""

from collections import OrderedDict
from collections.abc import Callable

from secaplane.audit.tlog.tiles import HEIGHT, TileName, hashes_of, subtree_root, tile_holding

TILES_CACHED = 64
"""At most 8 KiB each."""
ReadTile = Callable[[TileName], bytes]


class TileTree:
    """The tree of a size in tiles. `subtree` is what proofs are made of (`merkle.proofs`)."""

    def __init__(self, read: ReadTile, size: int) -> None:
        self._read, self.size = read, size
        self._cached = OrderedDict[TileName, list[bytes]]()

    def subtree(self, level: int, index: int) -> bytes:
        """The root of a complete subtree of `1 << level` leaves."""
        tile_level, within = divmod(level, HEIGHT)
        first = index << within
        name, place = tile_holding(tile_level, first, self.size)
        hashes = self._hashes(name)[place : place + (1 << within)]
        if len(hashes) != 1 << within:
            raise ValueError(f"a tree of {self.size} leaves has no complete subtree {index}")
        return subtree_root(hashes)

    def _hashes(self, name: TileName) -> list[bytes]:
        known = self._cached.get(name)
        if known is None:
            known = self._cached[name] = hashes_of(self._read(name), name.width)
            if len(self._cached) > TILES_CACHED:
                self._cached.popitem(last=False)
        return known
