"""Proofs that an entry is in a log, for checks without a network (c2sp.org/tlog-proof). Pure."""

import base64
import re
from typing import NamedTuple

from secaplane.audit.merkle.hashing import HASH_BYTES, leaf_hash
from secaplane.audit.merkle.proofs import WrongProof, verify_inclusion
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote, decoded_base64

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_HASHES_MAX = 63


class TlogProof(NamedTuple):
    """A proof and the checkpoint that it leads to, not verified. `extra` is authenticated only if
    the entry is computed from it."""

    leaf_index: int
    hashes: tuple[bytes, ...]
    checkpoint: SignedCheckpoint
    extra: bytes = b""

    @property
    def written(self) -> bytes:
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.leaf_index}")
        lines += [base64.b64encode(each).decode() for each in self.hashes]
        proof = "".join(f"{line}\n" for line in lines)
        return f"{proof}\n{self.checkpoint.note.written}".encode()

    def verify(self, entry: bytes) -> None:
        """Check that the entry is at the index; whether the checkpoint is to be trusted, a policy
        decides.

        Raises:
            WrongProof: the entry is not there.
        """
        head = self.checkpoint.head
        verify_inclusion(leaf_hash(entry), self.leaf_index, head.size, self.hashes, head.root)


def parse_proof(data: bytes) -> TlogProof:
    """A proof from its bytes, not verified.

    Raises:
        WrongProof: the bytes are no proof.
    """
    proof, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise WrongProof("a proof has an empty line before its checkpoint")
    try:
        header, *lines = proof.decode("ascii").split("\n")
        if header != HEADER or not lines:
            raise WrongProof(f"a proof begins with {HEADER}")
        extra = b""
        if lines[0].startswith("extra "):
            extra = decoded_base64(lines.pop(0).removeprefix("extra "))
        match = _INDEX.fullmatch(lines.pop(0)) if lines else None
        hashes = tuple(decoded_base64(line) for line in lines)
        parsed = parse_checkpoint(checkpoint)
    except (ValueError, WrongNote) as error:
        raise WrongProof(f"the proof is malformed: {error}") from error
    if match is None or len(hashes) > _HASHES_MAX or any(len(x) != HASH_BYTES for x in hashes):
        raise WrongProof("the proof is malformed: no index, or lines that are no hashes")
    return TlogProof(int(match[1]), hashes, parsed, extra)
