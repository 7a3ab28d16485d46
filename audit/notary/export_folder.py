"""An export of a stream's history: the public files of its log, and beside them the events.

    DIR/<stream>/checkpoint            signed; the newest that a quorum has cosigned, if any
    DIR/<stream>/tile/...              as the log has them (c2sp.org/tlog-tiles)
    DIR/<stream>/events/<N>            the events of the entry bundle of the same number

An event is its subject and its stored bytes, each after its length in four bytes, big-endian; one
that is declared lost has length 0 twice. The size in the checkpoint says which files there are, and
the tree covers the contents of each: any other file is foreign.
"""

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.signed_notes import NOTE_BYTES_MAX
from secaplane.audit.tlog.tiles import (
    CHECKPOINT_PATH,
    ENTRIES,
    ENTRY_BYTES_MAX,
    HEIGHT,
    WIDTH,
    TileName,
    TilesDiffer,
    tile_name,
    tiles_of,
)
from secaplane.eventlog.codec import EVENT_BYTES_MAX

TILE_BYTES_MAX = WIDTH * (ENTRY_BYTES_MAX + 2)
EVENTS_BYTES_MAX = WIDTH * (EVENT_BYTES_MAX + 64 * 1024)
"""Of a file: a larger one is refused before it is read."""
_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size


class ExportFolder:
    """The export of one stream."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: TileName) -> bytes:
        """A tile or an entry bundle.

        Raises:
            TilesDiffer: it is missing.
        """
        return self.read_file(name.path, TILE_BYTES_MAX)

    def events(self, number: int) -> list[StoredEvent | None]:
        """The events of a bundle.

        Raises:
            TilesDiffer: the file is missing or malformed.
        """
        return split_events(self.read_file(events_path(number), EVENTS_BYTES_MAX))

    def write(self, path: str, data: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def foreign(self, size: int) -> Iterator[str]:
        """Files that an export of a log of so many events does not have. Links count as foreign."""
        for place, folders, files in os.walk(self.folder):
            folders.sort()
            for name in sorted(files + folders):
                each = Path(place, name)
                path = each.relative_to(self.folder).as_posix()
                if each.is_symlink() or (name in files and not _belongs(path, size)):
                    yield path

    @staticmethod
    def is_foreign(path: str, size: int) -> bool:
        """True if an export of a log of so many events has no such file."""
        return not _belongs(path, size)

    def names(self, folder: str) -> list[str]:
        """The names of the files inside a folder."""
        inside = self.folder / folder
        return [each.name for each in inside.iterdir()] if inside.is_dir() else []

    def paths(self, below: str) -> Iterator[str]:
        """The paths of every file below a folder."""
        for place, folders, files in os.walk(self.folder / below):
            folders.sort()
            for name in sorted(files):
                yield Path(place, name).relative_to(self.folder).as_posix()

    def checkpoint(self) -> bytes:
        """The checkpoint, not verified.

        Raises:
            TilesDiffer: it is missing.
        """
        return self.read_file(CHECKPOINT_PATH, NOTE_BYTES_MAX)

    def read_file(self, path: str, bytes_max: int) -> bytes:
        """A file. A pipe or a device could keep its reader waiting, so only plain files are read.

        Raises:
            TilesDiffer: it is missing, too large, or cannot be read.
        """
        file = f"{self.folder}/{path}"  # many files are read: a `Path` takes longer than its file
        try:
            found = os.stat(file)
            if not stat.S_ISREG(found.st_mode):
                raise TilesDiffer(f"{path} is missing")
            if found.st_size > bytes_max:
                raise TilesDiffer(f"{path} has more than {bytes_max} bytes")
            with open(file, "rb") as opened:
                return opened.read()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TilesDiffer(f"{path} is missing") from error
        except OSError as error:
            raise TilesDiffer(f"{path} cannot be read: {error.strerror}") from error


def events_path(number: int) -> str:
    """The path of the events of a bundle."""
    return TileName(ENTRIES, number).path.replace("tile/entries/", "events/")


def export_paths(size: int) -> Iterator[str]:
    """Every file of an export of a log of so many events."""
    yield CHECKPOINT_PATH
    for name in tiles_of(size):
        yield name.path
    for number in range(bundles(size)):
        yield events_path(number)


def bundles(size: int) -> int:
    """The number of bundles of a log of so many events."""
    return -(-size // WIDTH)


def joined_events(events: Sequence[StoredEvent | None]) -> bytes:
    parts = list[bytes]()
    for each in events:
        subject, data = (each.subject.encode(), each.data) if each else (b"", b"")
        parts += [_LENGTH.pack(len(subject)), subject, _LENGTH.pack(len(data)), data]
    return b"".join(parts)


def split_events(data: bytes) -> list[StoredEvent | None]:
    """The events in a file.

    Raises:
        TilesDiffer: the file ends inside an event, or a subject is no text.
    """
    events, at, size, length_at = list[StoredEvent | None](), 0, len(data), _LENGTH.unpack_from
    try:
        while at < size:
            begin = at + LENGTH_BYTES
            middle = begin + length_at(data, at)[0]
            stored_at = middle + LENGTH_BYTES
            at = stored_at + length_at(data, middle)[0]
            if at > size:
                raise TilesDiffer("a file of events ends inside an event")
            if begin == middle and stored_at == at:
                events.append(None)
            else:
                events.append(StoredEvent(data[begin:middle].decode(), data[stored_at:at]))
    except struct.error as error:
        raise TilesDiffer("a file of events ends inside a length or a subject") from error
    except UnicodeDecodeError as error:
        raise TilesDiffer(f"the subject of event {len(events) + 1} is no text") from error
    return events


def _belongs(path: str, size: int) -> bool:
    """True if the path is one of `export_paths`, without listing them."""
    if path == CHECKPOINT_PATH:
        return True
    kind, _, rest = path.partition("/")
    name = f"tile/entries/{rest}" if kind == "events" else path
    return _tile_belongs(name, size, complete=kind == "events")


def _tile_belongs(path: str, size: int, *, complete: bool) -> bool:
    try:
        name = tile_name(path)
    except ValueError:
        return False
    hashes = size if name.level == ENTRIES else size >> (HEIGHT * name.level)
    width = min(WIDTH, hashes - name.number * WIDTH)
    return width > 0 and name.width == (WIDTH if complete else width)
