"""The witness protocol (c2sp.org/tlog-witness), both sides without HTTP. Pure.

A log submits a checkpoint and the proof that its tree extends the one that the witness cosigned
last. A witness cosigns only what is consistent with that.

    POST <prefix>/add-checkpoint
    old <size>\\n<base64 hash>\\n...\\n\\n<checkpoint>
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secaplane.audit.merkle.hashing import EMPTY_ROOT, HASH_BYTES
from secaplane.audit.merkle.proofs import WrongProof, verify_consistency
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.signed_notes import (
    NoteVerifier,
    SignedNote,
    WrongNote,
    decoded_base64,
    parse_signatures,
    verified,
)

PATH = "add-checkpoint"
COSIGNED, OTHER_SIZE = 200, 409
"""Statuses of answers; the others refuse for good."""
SIZE_TYPE = "text/x.tlog.size"
"""Media type of the answer OTHER_SIZE: the size of the tree that the witness cosigned last."""
HASHES_MAX = 63
MALFORMED = 400
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class WrongRequest(Exception):
    """Bytes that are no request of this protocol."""


class AddCheckpoint(NamedTuple):
    """A checkpoint, and the proof that it extends the tree of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: SignedCheckpoint

    @property
    def written(self) -> bytes:
        hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in self.proof)
        return f"old {self.old}\n{hashes}\n{self.checkpoint.note.written}".encode()


class WitnessAnswer(NamedTuple):
    """Status and body; with COSIGNED the head to be stored before the answer is sent."""

    status: int
    body: str
    cosigned: TreeHead | None = None


def parse_request(data: bytes) -> AddCheckpoint:
    """A request from its bytes, not verified.

    Raises:
        WrongRequest: the bytes are no request.
    """
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise WrongRequest("a request has an empty line before its checkpoint")
    try:
        first, *lines = head.decode("ascii").split("\n")
        proof = tuple(decoded_base64(line) for line in lines)
        parsed = parse_checkpoint(checkpoint)
    except (ValueError, WrongNote) as error:
        raise WrongRequest(f"the request is malformed: {error}") from error
    match = _OLD.fullmatch(first)
    if match is None or len(proof) > HASHES_MAX or any(len(x) != HASH_BYTES for x in proof):
        raise WrongRequest("the request is malformed: its first line, or lines that are no hashes")
    return AddCheckpoint(int(match[1]), proof, parsed)


def answer(
    request: AddCheckpoint,
    logs: Mapping[str, Sequence[NoteVerifier]],
    latest: TreeHead | None,
    cosigners: Sequence[Cosigner],
    *,
    time: int,
) -> WitnessAnswer:
    """The answer of a witness.

    Shapes: `logs`: the keys of each log by its origin; `latest`: the head of this log that was
    cosigned last; `time`: in seconds since 1970. Reading `latest` and storing the new head must be
    one atomic step.
    """
    head, note = request.checkpoint
    refusal = _refusal(request, logs, latest)
    if refusal is not None:
        return refusal
    lines = "".join(each.cosign(note.text, time).line for each in cosigners)
    return WitnessAnswer(COSIGNED, lines, head)


def cosigned(note: SignedNote, body: str, witnesses: Sequence[NoteVerifier]) -> SignedNote:
    """A checkpoint with the cosignatures of known witnesses in an answer COSIGNED.

    Raises:
        WrongNote: the answer is malformed, a cosignature is wrong, or none is of a known witness.
    """
    added = verified(SignedNote(note.text, parse_signatures(body)), witnesses)
    if not added:
        raise WrongNote("no cosignature of a known witness")
    replaced = {(each.name, each.key_id) for each in added}
    kept = [each for each in note.signatures if (each.name, each.key_id) not in replaced]
    return SignedNote(note.text, (*kept, *added))


def _refusal(
    request: AddCheckpoint,
    logs: Mapping[str, Sequence[NoteVerifier]],
    latest: TreeHead | None,
) -> WitnessAnswer | None:
    """The answers in the order of the specification: 404, 403, 400, 409, 422."""
    head, note = request.checkpoint
    keys = logs.get(head.origin)
    if keys is None:
        return WitnessAnswer(404, "unknown log\n")
    try:
        signed = verified(note, keys)
    except WrongNote as error:
        return WitnessAnswer(403, f"{error}\n")
    if not signed:
        return WitnessAnswer(403, "no known key of the log has signed\n")
    if request.old > head.size:
        return WitnessAnswer(400, "the old size is larger than the checkpoint's\n")
    known, known_root = (latest.size, latest.root) if latest else (0, EMPTY_ROOT)
    if request.old != known or (known == head.size and known_root != head.root):
        return WitnessAnswer(OTHER_SIZE, f"{known}\n")
    try:
        verify_consistency(known, known_root, head.size, head.root, request.proof)
    except WrongProof as error:
        return WitnessAnswer(422, f"{error}\n")
    return None
