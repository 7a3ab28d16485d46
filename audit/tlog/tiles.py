"""Tiles and entry bundles of a log (c2sp.org/tlog-tiles): their paths and their bytes. Pure.

A tile holds up to 256 hashes of complete subtrees. Tile n of level l holds the hashes of the
subtrees of 256**l leaves, beginning with number 256 * n. A bundle holds the entries of the tile of
the same number on level 0.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from secaplane.audit.merkle.hashing import HASH_BYTES, node_hashes

WIDTH, HEIGHT = 256, 8
CHECKPOINT_PATH = "checkpoint"
ENTRIES = -1
"""Stands for the level of entry bundles in a `TileName`."""
ENTRY_BYTES_MAX = 65_535
_PATH = re.compile(
    r"tile/(entries|0|[1-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


class TileName(NamedTuple):
    """A tile or an entry bundle; `width` is below WIDTH in a partial one."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        level = "entries" if self.level == ENTRIES else str(self.level)
        number, parts = self.number, list[str]()
        while number >= 1000 or not parts:
            parts.append(f"{number % 1000:03}")
            number //= 1000
        if number:
            parts.append(f"{number:03}")
        *first, last = reversed(parts)
        path = "".join(f"x{part}/" for part in first) + last
        return f"tile/{level}/{path}{'' if self.width == WIDTH else f'.p/{self.width}'}"


class TilesDiffer(Exception):
    """A tile or a bundle that is malformed, or that does not fit the tree."""


def tile_name(path: str) -> TileName:
    """The tile at a path.

    Raises:
        ValueError: not a path of a tile, or not the one valid path of it.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"{path!r} is not a path of a tile")
    level = ENTRIES if match[1] == "entries" else int(match[1])
    name = TileName(level, int(re.sub("[x/]", "", match[2])), int(match[3] or WIDTH))
    if name.path != path:
        raise ValueError(f"{path!r} is not a path of a tile")
    return name


def tiles_of(size: int) -> Iterator[TileName]:
    """Every tile and bundle of a tree of so many leaves, by level and number."""
    yield from _row(ENTRIES, size)
    level = 0
    while size:
        yield from _row(level, size)
        level, size = level + 1, size // WIDTH


def _row(level: int, hashes: int) -> Iterator[TileName]:
    full, width = divmod(hashes, WIDTH)
    yield from (TileName(level, number) for number in range(full))
    if width:
        yield TileName(level, full, width)


def tile_holding(level: int, index: int, size: int) -> tuple[TileName, int]:
    """The tile of a tree of `size` leaves that holds a hash, and the place of the hash in it.
    `level` counts tiles, not nodes."""
    hashes = size if level == ENTRIES else size >> (HEIGHT * level)
    if not 0 <= index < hashes:
        raise ValueError(f"a tree of {size} leaves has no hash {index} on level {level} of tiles")
    number, place = divmod(index, WIDTH)
    return TileName(level, number, min(WIDTH, hashes - number * WIDTH)), place


def joined(entries: Sequence[bytes]) -> bytes:
    """The bytes of a bundle."""
    lengths = {length: struct.pack(">H", length) for length in set(map(len, entries))}
    return b"".join([lengths[len(each)] + each for each in entries])


def split(bundle: bytes, width: int) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        TilesDiffer: not so many whole entries.
    """
    entries, at = list[bytes](), 0
    while at < len(bundle):
        if at + 2 > len(bundle):
            raise TilesDiffer("a bundle ends inside the length of an entry")
        (length,) = struct.unpack_from(">H", bundle, at)
        at += 2 + length
        if at > len(bundle):
            raise TilesDiffer("a bundle ends inside an entry")
        entries.append(bundle[at - length : at])
    if len(entries) != width:
        raise TilesDiffer(f"a bundle holds {len(entries)} entries instead of {width}")
    return entries


def hashes_of(tile: bytes, width: int) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        TilesDiffer: not so many hashes.
    """
    if len(tile) != width * HASH_BYTES:
        raise TilesDiffer(f"a tile has {len(tile)} bytes instead of {width * HASH_BYTES}")
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = hashes
    while len(row) > 1:
        row = node_hashes(row)
    return row[0]
