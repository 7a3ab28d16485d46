"""A witness of logs: cosigns a checkpoint only if the log has only grown since the last one.

    FOLDER/<SHA-256 of the origin>    the tree head of that log that was cosigned last

The head is on the disk before its cosignature is sent. A folder that is lost, or restored from a
backup, lets the witness cosign two histories: such a witness needs a new key.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from secaplane.audit.tlog.checkpoints import TreeHead, parse_tree_head
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.policies import TlogPolicy
from secaplane.audit.tlog.signed_notes import NoteVerifier
from secaplane.audit.tlog.witness_protocol import (
    MALFORMED,
    WitnessAnswer,
    WrongRequest,
    answer,
    parse_request,
)

_LOCK = "lock"


class WitnessInUse(Exception):
    """Another process uses the folder."""


class CheckpointWitness:
    """Cosigns checkpoints of the logs of a policy. Its methods block: call them in a thread, one at
    a time, and inside of `locked`."""

    def __init__(self, folder: Path, logs: TlogPolicy, cosigners: Sequence[Cosigner]) -> None:
        self._folder, self._cosigners = folder, cosigners
        self._logs = dict[str, list[NoteVerifier]]()
        for each in logs.logs:
            self._logs.setdefault(each.public.name, []).append(each.verifier)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Excludes every other process that uses the folder.

        Raises:
            WitnessInUse: there is one.
        """
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise WitnessInUse(f"another process uses {self._folder}") from error
            yield

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """The answer to a request; with a cosignature after its head is on the disk.

        Raises:
            OSError: the head could not be read or stored.
            WrongNote: the stored head is malformed.
        """
        try:
            request = parse_request(body)
        except WrongRequest as error:
            return WitnessAnswer(MALFORMED, f"{error}\n")
        latest = self._latest(request.checkpoint.head.origin)
        made = answer(request, self._logs, latest, self._cosigners, time=int(time.time()))
        if made.cosigned is not None:
            self._store(made.cosigned)
        return made

    def _latest(self, origin: str) -> TreeHead | None:
        try:
            return parse_tree_head(self._file(origin).read_text())
        except FileNotFoundError:
            return None

    def _store(self, head: TreeHead) -> None:
        file = self._file(head.origin)
        new = file.with_name(f"{file.name}.new")
        with new.open("w") as out:
            out.write(head.text)
            out.flush()
            os.fsync(out.fileno())
        new.rename(file)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _file(self, origin: str) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()
