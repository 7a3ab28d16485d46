"""The places that keep the files of a notary: a folder here, a bucket in `audit.notary.bucket`.

public/<stream>/checkpoint, tile/...   what a web server may serve
public/<stream>/cosigned               the newest checkpoint that a quorum has cosigned
public/<stream>/timestamps/            (`audit.timestamps.folder`)
private/<stream>.state                 for the notary alone: it names tenant lives
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

FILE_MODE, FOLDER_MODE = 0o644, 0o755
PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE = 0o600, 0o700
PUBLIC, PRIVATE = "public", "private"
_NEW = ".new"


class LogFiles(Protocol):
    """Files by their path. What a method has written is kept when it returns, and is there as a
    whole or not at all, wherever a process or a machine fails.

    The methods block: call them in threads. Each raises OSError where the place does not answer.
    """

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Excludes other writers of one log as far as the place can; `replace` refuses the rest."""
        ...

    def read(self, path: str) -> bytes | None:
        """None where there is no such file."""
        ...

    def exists(self, path: str) -> bool: ...

    def write(self, path: str, data: bytes) -> None: ...

    def create(self, files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
        """Write files that never change, up to the first one that is present with other contents:
        its path and these contents, which stay as they are."""
        ...

    def replace(self, path: str, data: bytes, before: bytes | None) -> bool:
        """Write a file; False where its contents are not those of before any more."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """Names of the files directly inside a folder, in the order in which they were written."""
        ...

    def remove(self, path: str) -> None:
        """Nothing happens where there is no such file."""
        ...

    def remove_below(self, folder: str) -> None: ...


class FolderFiles:
    """Files in a folder. Every file is written beside its place, synchronised to the disk and
    renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Excludes every other process on this machine."""
        private = self._folder / PRIVATE
        private.mkdir(PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        with (private / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self, path: str) -> bytes | None:
        return _read(self._folder / path)

    def exists(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def write(self, path: str, data: bytes) -> None:
        _synchronise(self._write(path, data))

    def _write(self, path: str, data: bytes) -> set[Path]:
        """Files of the private part can be read by their owner alone."""
        if path.startswith(f"{PRIVATE}/"):
            return _write(self._folder / path, data, PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE)
        return _write(self._folder / path, data, FILE_MODE, FOLDER_MODE)

    def create(self, files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
        folders = set[Path]()
        for path, data in files.items():
            present = self.read(path)
            if present is None:
                folders |= self._write(path, data)
            elif present != data:
                return path, present
        _synchronise(folders)
        return None

    def replace(self, path: str, data: bytes, before: bytes | None) -> bool:
        if self.read(path) != before:
            return False
        self.write(path, data)
        return True

    def names(self, folder: str) -> Sequence[str]:
        inside = self._folder / folder
        if not inside.is_dir():
            return ()
        with os.scandir(inside) as entries:
            files = [each for each in entries if each.is_file()]
            return [each.name for each in sorted(files, key=_written_at)]

    def remove(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)

    def remove_below(self, folder: str) -> None:
        shutil.rmtree(self._folder / folder, ignore_errors=True)


def _written_at(entry: "os.DirEntry[str]") -> tuple[int, str]:
    return entry.stat().st_mtime_ns, entry.name


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


def _synchronise(folders: set[Path]) -> None:
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
