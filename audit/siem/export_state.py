"""The state file of an export: up to which positions the sink has everything.

It is written after the sink has what it says, so that an end at any time loses nothing: what was
delivered and not yet written down is delivered again. A file as sink is cut to the length in it.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from secaplane.model.position import Position, parse_all, written


class StateUnusable(Exception):
    """The state file, or what it says about the sink, cannot be used; the text says why."""


class ExportState(msgspec.Struct, frozen=True, kw_only=True):
    positions: str = ""
    """`SECA:73,SECA-audit:9`: of each stream, the last one that the sink has."""
    bytes: int = 0
    """Length of the sink with exactly these events, where it is a file."""
    complete: bool = True
    """The file had exactly that length when the export ended; it may be moved away."""


class StateFile:
    """One file and one process: the file beside it that ends in `.lock` is locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1

    def take(self) -> ExportState | None:
        """Lock the file, and read it; None where there is none yet.

        Raises:
            StateUnusable: another process has it, or it is no state.
        """
        try:
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnusable(f"{self._path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = _read(self._path)
        except BlockingIOError as error:
            os.close(lock)
            raise StateUnusable(f"{self._path} is in use by another export") from error
        except (OSError, msgspec.DecodeError, ValueError) as error:
            os.close(lock)
            raise StateUnusable(f"{self._path} is no state of an export: {error}") from error
        self._lock = lock
        return state

    def write(self, state: ExportState) -> None:
        """Returns when the state is on disk; until then the former one is."""
        fresh = self._path.with_name(f"{self._path.name}.fresh")
        write_durably(fresh, msgspec.json.encode(state) + b"\n")
        fresh.rename(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def positions_of(state: ExportState) -> dict[str, Position]:
    """By stream."""
    return {each.stream: each for each in parse_all(state.positions)} if state.positions else {}


def state_of(positions: Iterable[Position], *, bytes_: int, complete: bool) -> ExportState:
    return ExportState(positions=written(positions), bytes=bytes_, complete=complete)


def write_durably(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, data)
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> ExportState | None:
    with suppress(FileNotFoundError):
        state = msgspec.json.decode(path.read_bytes(), type=ExportState)
        positions_of(state)
        return state
    return None
