"""The heads of one tenant life, with what an export of it needs besides: read from the folder of
the notary, and sent to the process that makes the export."""

from collections.abc import Mapping

import msgspec

from secaplane.audit.entries import HeadsFacts
from secaplane.audit.heads.kept import KeptHeads, RecordedHeads
from secaplane.audit.heads.tree import HeadProof, heads_of_life
from secaplane.audit.heads.unavailable import NotaryUnavailable
from secaplane.audit.notary.log_files import LogFiles
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import TilesDiffer, tile_name

MISSING = "the notary has signed no heads yet: try again soon"


class OfferedHead(msgspec.Struct, frozen=True):
    """The last event of a life in one stream, and its place in the tree of heads."""

    stream: str
    number: int
    place: int
    hashes: tuple[bytes, ...]


class OfferedHeads(msgspec.Struct, frozen=True):
    """The newest heads under signed checkpoints."""

    entry: RecordedHeads
    heads: tuple[OfferedHead, ...]
    """Of every stream that the entry names; the tree has `facts.size` heads."""
    checkpoints: dict[str, bytes]
    """By stream: of a tree that holds all that the heads are about; of the audit stream, one that
    holds the entry."""

    def proof(self, head: OfferedHead) -> HeadProof:
        return HeadProof(head.place, self.entry.facts.size, head.hashes)


class OfferRequest(msgspec.Struct, frozen=True):
    life: str
    sequence: int = 0
    """Of the entry about heads; 0: the newest one."""


class HeadsNotKept(NotaryUnavailable):
    """The notary does not have the heads of an entry any more."""


class TileRequest(msgspec.Struct, frozen=True):
    stream: str
    path: str


def offered(
    files: LogFiles, kept: KeptHeads, audit: str, asked: OfferRequest, *, keep: bool = False
) -> OfferedHeads:
    """The heads that were asked for, as far as the notary can prove them. `audit`: the name of the
    audit stream; `keep`: the same request gets the same answer later.

    Raises:
        NotaryUnavailable: there are none of this life yet.
        HeadsNotKept: there are none of that entry.
    """
    for entry in kept.entries():
        if asked.sequence not in (0, entry.sequence):
            continue
        facts = entry.facts
        checkpoints = kept.signed(entry.sequence) or _covering(files, facts, audit, entry.sequence)
        if checkpoints is None:
            continue
        try:
            heads = _heads(kept, facts, asked.life)
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise NotaryUnavailable(f"the heads cannot be proved: {error}") from error
        signed = kept.keep_signed(entry.sequence, checkpoints) if keep else checkpoints
        return OfferedHeads(entry, heads, signed)
    if asked.sequence:
        raise HeadsNotKept(f"no heads are kept of the entry {asked.sequence}")
    raise NotaryUnavailable(MISSING)


def read_tile(files: LogFiles, asked: TileRequest) -> bytes:
    """A tile of hashes.

    Raises:
        NotaryUnavailable: no such tile.
    """
    try:
        name = tile_name(asked.path)
        if not asked.stream.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{asked.stream} is no name of a stream")
        return TileFolder(files, asked.stream).read(name)
    except (ValueError, TilesDiffer) as error:
        raise NotaryUnavailable(f"{asked.stream}: {error}") from error


def _covering(
    files: LogFiles, facts: HeadsFacts, audit: str, sequence: int
) -> dict[str, bytes] | None:
    """The checkpoint of each stream; None where one does not hold what the heads are about."""
    checkpoints = dict[str, bytes]()
    for stream, size in facts.streams.items():
        data = TileFolder(files, stream).newest_checkpoint()
        try:
            signed = parse_checkpoint(data).head.size if data else 0
        except WrongNote as error:
            raise NotaryUnavailable(f"the checkpoint of {stream}: {error}") from error
        if data is None or signed < max(size, sequence if stream == audit else 0):
            return None
        checkpoints[stream] = data
    return checkpoints


def _heads(kept: KeptHeads, facts: HeadsFacts, life: str) -> tuple[OfferedHead, ...]:
    """Raises KeyError where the life has no event yet."""
    snapshot, tree = kept.tree(facts)
    if not any(life in heads for heads in snapshot.chains.values()):
        raise KeyError("the tenant has no event that they are about")
    made = list[OfferedHead]()
    for stream, number, text in heads_of_life(life, snapshot.chains):
        proof = tree.prove(text)
        made.append(OfferedHead(stream, number, proof.place, proof.hashes))
    return tuple(made)


def streams_of(offer: OfferedHeads) -> Mapping[str, int]:
    """By stream: the number of events that the heads are about."""
    return offer.entry.facts.streams
