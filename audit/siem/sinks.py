"""Sinks of an export: what takes the lines. `deliver` returns when the sink has them."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from secaplane.audit.siem.export_state import ExportState, StateUnusable, sync_folder
from secaplane.audit.siem.records import SiemRecord

STDOUT = 1


class ExportedLine(NamedTuple):
    """A record and its form, without the line break."""

    record: SiemRecord
    text: bytes


class SinkUnavailable(Exception):
    """The sink has not taken everything: the rest is delivered again, with the same ids."""

    def __init__(self, reason: str, *, taken: int = 0) -> None:
        super().__init__(reason)
        self.taken = taken
        """Lines, from the first one on, that it has for certain."""


class SinkClosed(Exception):
    """The reader of the sink has closed it."""


class Sink(Protocol):
    @property
    def size(self) -> int:
        """Bytes, where it is a file; otherwise 0."""
        ...

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        """Raises SinkUnavailable, or SinkClosed and StateUnusable, where a retry gains nothing."""
        ...

    async def close(self) -> None: ...


class OutputSink:
    """Standard output. Its reader has what it has read: nothing is acknowledged."""

    size = 0

    def __init__(self, output: int = STDOUT) -> None:
        self._output = output

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        try:
            await asyncio.to_thread(self._write, joined(lines))
        except BrokenPipeError as error:
            raise SinkClosed("standard output is closed") from error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._output, view) :]

    async def close(self) -> None: ...


class FileSink:
    """A file that holds every event once: at the start it is cut to what the state says."""

    def __init__(self, path: Path, state: ExportState | None) -> None:
        """Raises StateUnusable."""
        self._path = path
        self._file = _opened(path, state)
        self.size = state.bytes if state is not None and os.fstat(self._file).st_size else 0
        self._writing: asyncio.Future[None] | None = None

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        data = joined(lines)
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, self._append, data)
        try:
            await asyncio.shield(self._writing)
        except OSError as error:  # a full disk
            raise SinkUnavailable(f"{self._path}: {error.strerror}") from error
        self.size += len(data)

    def _append(self, data: bytes) -> None:
        """A write that failed halfway is repeated from its beginning."""
        if os.fstat(self._file).st_size < self.size:
            raise StateUnusable(f"{self._path} has become shorter: something else changed it")
        os.ftruncate(self._file, self.size)
        view = memoryview(data)
        while view:
            view = view[os.pwrite(self._file, view, self.size + len(data) - len(view)) :]
        os.fsync(self._file)

    async def close(self) -> None:
        """The file has then exactly `size` bytes, also if a delivery was cancelled."""
        if self._file < 0:
            return
        if self._writing is not None:
            await asyncio.wait([self._writing])
        os.ftruncate(self._file, self.size)
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1


def _opened(path: Path, state: ExportState | None) -> int:
    if not path.exists() and state is not None and state.bytes and not state.complete:
        raise StateUnusable(
            f"{path} is gone, and its export was cut short: its last line may be incomplete. Put "
            "it back, or remove its state file and name the position with --after"
        )
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(f"{path}: {error.strerror}") from error
    try:
        _cut(file, path, state)
    except BaseException:
        os.close(file)
        raise
    sync_folder(path.parent)
    return file


def _cut(file: int, path: Path, state: ExportState | None) -> None:
    found = os.fstat(file).st_size
    if state is None:
        if found:
            raise StateUnusable(f"{path} exists and has no state file: name another file")
        return
    if found < state.bytes and (found or not state.complete):
        raise StateUnusable(
            f"{path} has {found} bytes, and {state.bytes} were written: something else changed it"
        )
    if found > state.bytes:
        os.ftruncate(file, state.bytes)
        os.fsync(file)


def joined(lines: Sequence[ExportedLine]) -> bytes:
    return b"".join(part for each in lines for part in (each.text, b"\n"))
