"""The files of one log: tiles, bundles and the checkpoint, and the notary's own state.

A tile never changes: one that is present and differs is not overwritten.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from secaplane.audit.merkle.hashing import HASH_BYTES
from secaplane.audit.notary.log_files import PRIVATE, PUBLIC, LogFiles
from secaplane.audit.tlog.tiles import (
    CHECKPOINT_PATH,
    ENTRIES,
    HEIGHT,
    WIDTH,
    TileName,
    TilesDiffer,
    joined,
    split,
)

COSIGNED_PATH = "cosigned"


class TileConflict(Exception):
    """A tile that was written before differs from the one that the stream has now."""

    def __init__(self, name: TileName, first: int) -> None:
        super().__init__(f"{name.path} was written with other contents")
        self.name = name
        self.first = first
        """The index of the first leaf that differs, or of the first leaf below a hash that does."""


class TileFolder:
    """The log of one stream; its files are created when they are first written."""

    def __init__(self, files: LogFiles, stream: str) -> None:
        self._files, self._stream = files, stream
        self._public, self._state = f"{PUBLIC}/{stream}", f"{PRIVATE}/{stream}.state"

    def locked(self) -> AbstractContextManager[None]:
        """Excludes other processes that write this log, as far as its place can."""
        return self._files.exclusive(self._stream)

    def read(self, name: TileName) -> bytes:
        """A tile or bundle; a partial one also from the complete one of the same number.

        Raises:
            TilesDiffer: there is no such file, or the complete one is malformed.
        """
        data = self.public(name.path)
        if data is not None:
            return data
        data = self.public(name._replace(width=WIDTH).path)
        if data is None:
            raise TilesDiffer(f"{name.path} is missing")
        if name.level == ENTRIES:
            return joined(split(data, WIDTH)[: name.width])
        return data[: name.width * HASH_BYTES]

    def public(self, path: str) -> bytes | None:
        """A file of the public part; None where there is none."""
        return self._files.read(f"{self._public}/{path}")

    def has(self, path: str) -> bool:
        """True if the public part has such a file."""
        return self._files.exists(f"{self._public}/{path}")

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files inside a folder of the public part."""
        return self._files.names(f"{self._public}/{folder}")

    def checkpoint(self) -> bytes | None:
        return self.public(CHECKPOINT_PATH)

    def cosigned(self) -> bytes | None:
        return self.public(COSIGNED_PATH)

    def newest_checkpoint(self) -> bytes | None:
        """The newest one that a quorum has cosigned, or the newest where none has."""
        return self.cosigned() or self.checkpoint()

    def state(self) -> bytes | None:
        return self._files.read(self._state)

    def write_tiles(self, files: Mapping[TileName, bytes]) -> None:
        """Write tiles and bundles; returns when they are kept.

        Raises:
            TileConflict: one of them is present with other contents.
        """
        names = {f"{self._public}/{name.path}": name for name in files}
        other = self._files.create({path: files[name] for path, name in names.items()})
        if other is not None:
            path, present = other
            name = names[path]
            raise TileConflict(name, _first_difference(name, present, files[name]))

    def write_checkpoint(self, data: bytes, before: bytes | None) -> bool:
        """False where another process has published since `before` was read."""
        return self._files.replace(f"{self._public}/{CHECKPOINT_PATH}", data, before)

    def write_public(self, path: str, data: bytes) -> None:
        """Write a file that belongs to the log and is no part of its tree."""
        self._files.write(f"{self._public}/{path}", data)

    def write_cosigned(self, data: bytes, before: bytes | None) -> bool:
        """False where another process has written one since `before` was read."""
        return self._files.replace(f"{self._public}/{COSIGNED_PATH}", data, before)

    def write_state(self, data: bytes) -> None:
        self._files.write(self._state, data)

    def remove_partial(self, name: TileName) -> None:
        """Remove the partial forms of a complete tile or bundle."""
        self._files.remove_below(f"{self._public}/{name.path}.p")


def _first_difference(name: TileName, present: bytes, data: bytes) -> int:
    """The index of the first leaf in which two forms of a tile or bundle differ."""
    if name.level == ENTRIES:
        with suppress(TilesDiffer):
            pairs = zip(split(present, name.width), split(data, name.width), strict=True)
            place = next(at for at, (one, other) in enumerate(pairs) if one != other)
            return name.number * WIDTH + place
        return name.number * WIDTH
    hashes = range(0, len(data), HASH_BYTES)
    differs = (at for at in hashes if present[at : at + HASH_BYTES] != data[at : at + HASH_BYTES])
    place = next(differs, 0) // HASH_BYTES
    return (name.number * WIDTH + place) << (HEIGHT * name.level)
