"""A small log in memory: its tiles, its keys, and checkpoints of it."""

from collections.abc import Sequence
from hashlib import sha256

from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.signed_notes import NoteSigner, SignedNote, sign
from secaplane.audit.tlog.tiles import ENTRIES, TileName, joined
from tests.rules import small_trees

ORIGIN = "log.example/SECA"
SIGNER = NoteSigner(ORIGIN, sha256(b"key of the log").digest())
WITNESSES = [Cosigner(f"witness{n}.example", sha256(b"key %d" % n).digest()) for n in (1, 2, 3)]
TIME = 1_790_000_000


def bytes_of(name: TileName, entries: Sequence[bytes]) -> bytes:
    """A tile or a bundle, computed without the product's tree."""
    span = 256 ** max(0, name.level)
    first = name.number * 256
    if name.level == ENTRIES:
        return joined(entries[first : first + name.width])
    return b"".join(
        small_trees.mth(entries[at * span : (at + 1) * span])
        for at in range(first, first + name.width)
    )


def checkpoint_of(
    entries: Sequence[bytes],
    *,
    signers: Sequence[NoteSigner] = (SIGNER,),
    witnesses: Sequence[Cosigner] = (),
    origin: str = ORIGIN,
) -> SignedCheckpoint:
    text = TreeHead(origin, len(entries), tree_root(map(leaf_hash, entries))).text
    note = sign(text, signers)
    cosigned = tuple(each.cosign(text, TIME) for each in witnesses)
    written = SignedNote(text, (*note.signatures, *cosigned)).written
    return parse_checkpoint(written.encode())
