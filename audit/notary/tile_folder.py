"""The files of one log on a disk: tiles, bundles and the checkpoint, and the notary's own state.

    FOLDER/public/<stream>/checkpoint, tile/...   what a web server may serve
    FOLDER/public/<stream>/cosigned               the newest checkpoint that a quorum has cosigned
    FOLDER/public/<stream>/timestamps/            (`audit.timestamps.folder`)
    FOLDER/private/<stream>.state, <stream>.lock  for the notary alone: it names tenant lives
    FOLDER/private/heads/                         likewise (`audit.heads.kept`)

Every file is written beside its place, synchronised to the disk and renamed, so that a process can
end, and a machine fail, at any point. A tile never changes: one that is present and differs is not
overwritten.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from secaplane.audit.merkle.hashing import HASH_BYTES
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

FILE_MODE, FOLDER_MODE = 0o644, 0o755
PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE = 0o600, 0o700
COSIGNED_PATH = "cosigned"
_NEW = ".new"


class TileConflict(Exception):
    """A tile that was written before differs from the one that the stream has now."""

    def __init__(self, name: TileName, first: int) -> None:
        super().__init__(f"{name.path} was written with other contents")
        self.name = name
        self.first = first
        """The index of the first leaf that differs, or of the first leaf below a hash that does."""


class TileFolder:
    """The log of one stream in a folder; created when it is first written."""

    def __init__(self, folder: Path, stream: str) -> None:
        self.public = folder / "public" / stream
        self._private = folder / "private"
        self._state = self._private / f"{stream}.state"
        self._lock = self._private / f"{stream}.lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Excludes every other process that writes this log on this machine."""
        self._private.mkdir(PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self, name: TileName) -> bytes:
        """A tile or bundle; a partial one also from the complete one of the same number.

        Raises:
            TilesDiffer: there is no such file, or the complete one is malformed.
        """
        with suppress(FileNotFoundError):
            return (self.public / name.path).read_bytes()
        complete = name._replace(width=WIDTH)
        try:
            data = (self.public / complete.path).read_bytes()
        except FileNotFoundError as error:
            raise TilesDiffer(f"{name.path} is missing") from error
        if name.level == ENTRIES:
            return joined(split(data, WIDTH)[: name.width])
        return data[: name.width * HASH_BYTES]

    def checkpoint(self) -> bytes | None:
        return _read(self.public / CHECKPOINT_PATH)

    def cosigned(self) -> bytes | None:
        return _read(self.public / COSIGNED_PATH)

    def newest_checkpoint(self) -> bytes | None:
        """The newest one that a quorum has cosigned, or the newest where none has."""
        return self.cosigned() or self.checkpoint()

    def state(self) -> bytes | None:
        return _read(self._state)

    def write_tiles(self, files: Mapping[TileName, bytes]) -> None:
        """Write tiles and bundles; returns when they are on the disk.

        Raises:
            TileConflict: one of them is present with other contents.
        """
        folders = set[Path]()
        for name, data in files.items():
            path = self.public / name.path
            present = _read(path)
            if present is None:
                folders |= _write(path, data, FILE_MODE, FOLDER_MODE)
            elif present != data:
                raise TileConflict(name, _first_difference(name, present, data))
        for folder in folders:
            _synchronise(folder)

    def write_checkpoint(self, data: bytes) -> None:
        path = self.public / CHECKPOINT_PATH
        for folder in _write(path, data, FILE_MODE, FOLDER_MODE):
            _synchronise(folder)

    def write_cosigned(self, data: bytes) -> None:
        for folder in _write(self.public / COSIGNED_PATH, data, FILE_MODE, FOLDER_MODE):
            _synchronise(folder)

    def has(self, path: str) -> bool:
        """True if the public part has such a file."""
        return (self.public / path).is_file()

    def write_public(self, path: str, data: bytes) -> None:
        """Write a file that belongs to the log and is no part of its tree."""
        for folder in _write(self.public / path, data, FILE_MODE, FOLDER_MODE):
            _synchronise(folder)

    def write_state(self, data: bytes) -> None:
        write_private(self._state, data)

    def remove_partial(self, name: TileName) -> None:
        """Remove the partial forms of a complete tile or bundle."""
        shutil.rmtree(self.public / f"{name.path}.p", ignore_errors=True)


def write_private(file: Path, data: bytes) -> None:
    """Write a file that only its owner can read; returns when it is on the disk."""
    for folder in _write(file, data, PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE):
        _synchronise(folder)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes, mode: int, folder_mode: int) -> set[Path]:
    """Write a file and rename it to its place. Returns the folders that are to be synchronised."""
    folders = _folders(path.parent, folder_mode) | {path.parent}
    new = path.with_name(f"{path.name}{_NEW}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    new.rename(path)
    return folders


def _folders(folder: Path, mode: int) -> set[Path]:
    """Create a folder and those around it that are missing. Returns the parents of new ones."""
    parents = set[Path]()
    if not folder.is_dir():
        parents = _folders(folder.parent, mode) | {folder.parent}
        folder.mkdir(mode, exist_ok=True)
    return parents


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
