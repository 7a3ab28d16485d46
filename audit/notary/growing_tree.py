"""A Merkle tree that grows entry by entry, and the tiles of it that have to be written. Pure.

Memory is bounded by what is not written yet: one incomplete tile for each level, and whatever was
completed since `take`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secaplane.audit.merkle.hashing import MerkleFrontier, leaf_hash
from secaplane.audit.merkle.proofs import frontier
from secaplane.audit.tlog.tile_tree import ReadTile, TileTree
from secaplane.audit.tlog.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    TileName,
    hashes_of,
    joined,
    split,
    subtree_root,
)


class GrownTree(NamedTuple):
    """The tree at one size, and the files that it has beyond those of the size before."""

    size: int
    root: bytes
    files: Mapping[TileName, bytes]


class GrowingTree:
    """Appends entries; `take` gives what is to be written."""

    def __init__(
        self,
        grown: MerkleFrontier | None = None,
        entries: Sequence[bytes] = (),
        rows: Sequence[Sequence[bytes]] = (),
    ) -> None:
        """`entries` and `rows`: those of the incomplete bundle, and the hashes of the incomplete
        tile of each level."""
        self._frontier = grown or MerkleFrontier()
        self._entries = list(entries)
        self._rows = [list(row) for row in rows]
        self._completed = dict[TileName, bytes]()

    @classmethod
    def stored(cls, read: ReadTile, size: int) -> "GrowingTree":
        """The tree of a size, from its tiles.

        Raises:
            TilesDiffer: a tile is malformed.
        """
        tree, rows, hashes = TileTree(read, size), list[list[bytes]](), size
        while hashes:
            number, width = divmod(hashes, WIDTH)
            name = TileName(len(rows), number, width)
            rows.append(hashes_of(read(name), width) if width else [])
            hashes = number
        number, width = divmod(size, WIDTH)
        last = TileName(ENTRIES, number, width)
        entries = split(read(last), width) if width else []
        return cls(frontier(tree.subtree, size), entries, rows)

    @property
    def size(self) -> int:
        return self._frontier.size

    @property
    def root(self) -> bytes:
        return self._frontier.root

    @property
    def unwritten(self) -> int:
        """Complete tiles and bundles that wait to be taken."""
        return len(self._completed)

    def append(self, entry: bytes) -> None:
        hashed = leaf_hash(entry)
        self._entries.append(entry)
        self._frontier.append(hashed)
        if len(self._entries) == WIDTH:
            name = TileName(ENTRIES, self.size // WIDTH - 1)
            self._completed[name] = joined(self._entries)
            self._entries = []
        level, complete = 0, True
        while complete:
            hashed, complete = self._place(level, hashed)
            level += 1

    def take(self) -> GrownTree:
        """The tree as it is now; its complete tiles are given once."""
        files, self._completed = self._completed, {}
        width = len(self._entries)
        if width:
            files[TileName(ENTRIES, self.size // WIDTH, width)] = joined(self._entries)
        for level, row in enumerate(self._rows):
            if row:
                number = self.size >> (HEIGHT * (level + 1))
                files[TileName(level, number, len(row))] = b"".join(row)
        return GrownTree(self.size, self.root, files)

    def _place(self, level: int, hashed: bytes) -> tuple[bytes, bool]:
        """Put a hash into the tile of its level. If that is complete: the root over the tile, which
        belongs to the level above."""
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.append(hashed)
        if len(row) < WIDTH:
            return hashed, False
        number = (self.size >> (HEIGHT * (level + 1))) - 1
        self._completed[TileName(level, number)] = b"".join(row)
        self._rows[level] = []
        return subtree_root(row), True
