"""The heads that the notary has given, in the private part of its files: they prove a head after
the audit stream has recorded their root.

    private/heads/<root>.tree        the heads of every life and stream
    private/heads/<sequence>.entry   the entry of the audit stream that has such a root
    private/heads/<sequence>.signed  the checkpoints that were first given with that entry

The first two name tenant lives. All are no part of the log: where they are lost, the next entry
has others.
"""

import re
from collections.abc import Iterator, Sequence
from threading import Lock

import msgspec

from secaplane.audit.entries import HeadsFacts, decode
from secaplane.audit.heads.tree import HeadsTree, heads_tree
from secaplane.audit.notary.leaves import CommittedEvent, LifeHead
from secaplane.audit.notary.log_files import PRIVATE, LogFiles
from secaplane.eventlog.codec import Undecodable

ENTRIES_KEPT = 24
"""With their trees. An export takes the newest one, and is continued with the same one."""
UNRECORDED_KEPT = 4
_FOLDER = f"{PRIVATE}/heads"
_ENTRY = re.compile(r"([1-9][0-9]*)\.entry")


class HeadsSnapshot(msgspec.Struct, frozen=True):
    """The heads of every life after the first events of each stream."""

    sizes: dict[str, int]
    chains: dict[str, dict[str, LifeHead]]

    def facts(self, tree: HeadsTree) -> HeadsFacts:
        return HeadsFacts(root=tree.root, size=tree.size, streams=self.sizes)


class RecordedHeads(msgspec.Struct, frozen=True):
    """An entry of the audit stream about heads, and its place in the chain of that stream."""

    sequence: int
    number: int
    previous: bytes
    data: bytes
    """The entry as it is stored."""

    @property
    def facts(self) -> HeadsFacts:
        """Raises Undecodable where the entry is none about heads."""
        facts = decode(self.data).heads
        if not isinstance(facts, HeadsFacts):
            raise Undecodable("the entry is not about heads")
        return facts


_encode = msgspec.json.Encoder().encode
_decode_snapshot = msgspec.json.Decoder(HeadsSnapshot).decode
_decode_signed = msgspec.json.Decoder(dict[str, bytes]).decode
_decode_recorded = msgspec.json.Decoder(RecordedHeads).decode


class KeptHeads:
    """The files. Its methods block: call them in threads."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._one = Lock()
        self._known: tuple[HeadsSnapshot, HeadsTree] | None = None
        """The tree that was used last."""

    def keep(self, snapshot: HeadsSnapshot) -> HeadsFacts:
        """Store the heads; their root may be recorded then."""
        tree = heads_tree(snapshot.chains)
        with self._one:
            self._files.write(_tree(tree.root), _encode(snapshot))
            self._known = snapshot, tree
            self._remove_old(_tree(tree.root))
        return snapshot.facts(tree)

    def record(self, event: CommittedEvent, data: bytes) -> bool:
        """Remember an entry that the audit stream holds; False where its heads are not of this
        notary, or no longer kept."""
        recorded = RecordedHeads(event.leaf.sequence, event.number, event.previous, data)
        try:
            facts = recorded.facts
        except Undecodable:
            return False
        with self._one:
            if not self._files.exists(_tree(facts.root)):
                return False
            self._files.write(_entry(recorded.sequence), _encode(recorded))
        return True

    def entries(self) -> Iterator[RecordedHeads]:
        """The entries that are kept, the newest first."""
        for sequence in self._sequences():
            recorded = self._recorded(sequence)
            if recorded is not None:
                yield recorded

    def _recorded(self, sequence: int) -> RecordedHeads | None:
        """None where another notary has just removed it."""
        data = self._files.read(_entry(sequence))
        return None if data is None else _decode_recorded(data)

    def signed(self, sequence: int) -> dict[str, bytes] | None:
        """The checkpoints, by stream, that were first given with an entry: who continues an export
        gets the same ones. None where none were given yet."""
        data = self._files.read(_signed(sequence))
        return None if data is None else _decode_signed(data)

    def keep_signed(self, sequence: int, checkpoints: dict[str, bytes]) -> dict[str, bytes]:
        """Keep checkpoints for an entry, unless others are kept already; those that are kept."""
        path = _signed(sequence)
        with self._one:
            other = self._files.create({path: _encode(checkpoints)})
            return _decode_signed(other[1]) if other else checkpoints

    def tree(self, facts: HeadsFacts) -> tuple[HeadsSnapshot, HeadsTree]:
        """The heads of an entry.

        Raises:
            FileNotFoundError: they are not kept.
            ValueError: the file has changed.
        """
        known = self._known
        if known is None or known[1].root != facts.root:
            data = self._files.read(_tree(facts.root))
            if data is None:
                raise FileNotFoundError("the heads of this entry are not kept")
            snapshot = _decode_snapshot(data)
            known = self._known = snapshot, heads_tree(snapshot.chains)
        snapshot, tree = known
        if snapshot.facts(tree) != facts:
            raise ValueError("the heads that the notary keeps are not those of the entry")
        return snapshot, tree

    def _sequences(self) -> Sequence[int]:
        """Of the entries, the newest first."""
        matches = map(_ENTRY.fullmatch, self._files.names(_FOLDER))
        return sorted((int(each[1]) for each in matches if each), reverse=True)

    def _remove_old(self, newest: str) -> None:
        """A bucket knows the second of a file: of trees of one second, any may seem the oldest."""
        kept = {newest}
        for place, sequence in enumerate(self._sequences()):
            if place < ENTRIES_KEPT:
                recorded = self._recorded(sequence)
                kept |= {_tree(recorded.facts.root)} if recorded else set()
            else:
                self._files.remove(_entry(sequence))
                self._files.remove(_signed(sequence))
        trees = [f"{_FOLDER}/{each}" for each in self._files.names(_FOLDER) if _is_tree(each)]
        others = [each for each in trees if each not in kept]
        for each in others[:-UNRECORDED_KEPT]:
            self._files.remove(each)


def _is_tree(name: str) -> bool:
    return name.endswith(".tree")


def _tree(root: bytes) -> str:
    return f"{_FOLDER}/{root.hex()}.tree"


def _entry(sequence: int) -> str:
    return f"{_FOLDER}/{sequence}.entry"


def _signed(sequence: int) -> str:
    return f"{_FOLDER}/{sequence}.signed"
