"""Receipts: proofs that an event is in the log of its stream, for checks without a network.

A receipt is a `.tlog-proof` whose extra data are the event's number in its tenant life and the
commitment before it. With the event's subject and stored bytes they give the leaf.
"""

from secaplane.audit.merkle.proofs import WrongProof, prove_inclusion
from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.notary.leaves import (
    CommitmentChain,
    CommittedEvent,
    LeafEntry,
    WrongLeaf,
    leaf_from_receipt,
)
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, parse_checkpoint
from secaplane.audit.tlog.policies import TlogPolicy, VerifiedCheckpoint
from secaplane.audit.tlog.tile_tree import ReadTile, TileTree
from secaplane.audit.tlog.tiles import WIDTH
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


def exported_receipt(export: ExportFolder, sequence: int) -> tuple[TlogProof, StoredEvent]:
    """The receipt of an event in an export, and the event. Every event before it is read, because
    the receipt has its number and the commitment before it.

    Raises:
        WrongProof: the export has no such event, or its tree does not hold it.
        TilesDiffer: a file of the export is missing or malformed.
        WrongNote: its checkpoint is malformed.
    """
    stream, checkpoint = export.folder.name, parse_checkpoint(export.checkpoint())
    if not 1 <= sequence <= checkpoint.head.size:
        raise WrongProof(f"the export has the events 1 to {checkpoint.head.size} of {stream}")
    chain, (number, place) = CommitmentChain(stream), divmod(sequence - 1, WIDTH)
    for each in range(number):
        present = (event for event in export.events(each) if event is not None)
        chain.adopt(chain.leaves_of(1, present).moved)
    events = export.events(number)[: place + 1]
    if len(events) <= place or (event := events[place]) is None:
        raise WrongProof(f"{stream}:{sequence} is not in the export, or declared lost")
    chain.adopt(chain.leaves_of(1, (each for each in events[:place] if each is not None)).moved)
    committed = chain.commit(sequence, *event)
    made = receipt(committed, export.read, checkpoint)
    made.verify(committed.leaf.written)
    return made, event
