"""Receipts: proofs that an event is in the log of its stream, for checks without a network. Pure.

A receipt is a `.tlog-proof` whose extra data are the event's number in its tenant life and the
commitment before it. With the event's subject and stored bytes they give the leaf.
"""

from secaplane.audit.merkle.proofs import WrongProof, prove_inclusion
from secaplane.audit.notary.leaves import CommittedEvent, LeafEntry, WrongLeaf, leaf_from_receipt
from secaplane.audit.tlog.checkpoints import SignedCheckpoint
from secaplane.audit.tlog.policies import TlogPolicy, VerifiedCheckpoint
from secaplane.audit.tlog.tile_tree import ReadTile, TileTree
from secaplane.audit.tlog.tlog_proofs import TlogProof


def receipt(event: CommittedEvent, read: ReadTile, checkpoint: SignedCheckpoint) -> TlogProof:
    """The receipt of an event, from the tiles of the tree of a checkpoint."""
    size, index = checkpoint.head.size, event.leaf.sequence - 1
    tree = TileTree(read, size)
    hashes = prove_inclusion(tree.subtree, index, size)
    return TlogProof(index, tuple(hashes), checkpoint, event.extra)


def verify_receipt(
    proof: TlogProof, policy: TlogPolicy, *, stream: str, subject: str, stored: bytes
) -> tuple[VerifiedCheckpoint, LeafEntry]:
    """Check that the log of a stream holds an event with this subject and these stored bytes.

    Raises:
        WrongProof: the receipt is not of this event.
        WrongNote: the policy does not trust the checkpoint.
    """
    try:
        leaf = leaf_from_receipt(stream, proof.leaf_index + 1, subject, stored, proof.extra)
    except WrongLeaf as error:
        raise WrongProof(str(error)) from error
    proof.verify(leaf.written)
    return policy.verify(proof.checkpoint), leaf
