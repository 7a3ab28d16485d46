"""The heads that the notary has given, in its private folder: they prove a head after the audit
stream has recorded their root.

    FOLDER/private/heads/<root>.tree        the heads of every life and stream
    FOLDER/private/heads/<sequence>.entry   the entry of the audit stream that has such a root
    FOLDER/private/heads/<sequence>.signed  the checkpoints that were first given with that entry

The first two name tenant lives. All are no part of the log: where they are lost, the next entry
has others.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

import msgspec

from secaplane.audit.entries import HeadsFacts, decode
from secaplane.audit.heads.tree import HeadsTree, heads_tree
from secaplane.audit.notary.leaves import CommittedEvent, LifeHead
from secaplane.audit.notary.tile_folder import write_private
from secaplane.eventlog.codec import Undecodable

ENTRIES_KEPT = 24
"""With their trees. An export takes the newest one, and is continued with the same one."""
UNRECORDED_KEPT = 4
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

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "private" / "heads"
        self._one = Lock()
        self._known: tuple[HeadsSnapshot, HeadsTree] | None = None
        """The tree that was used last."""

    def keep(self, snapshot: HeadsSnapshot) -> HeadsFacts:
        """Store the heads; their root may be recorded then."""
        tree = heads_tree(snapshot.chains)
        with self._one:
            write_private(self._tree_file(tree.root), _encode(snapshot))
            self._known = snapshot, tree
            self._remove_old()
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
            if not self._tree_file(facts.root).exists():
                return False
            write_private(self._folder / f"{recorded.sequence}.entry", _encode(recorded))
        return True

    def entries(self) -> Iterator[RecordedHeads]:
        """The entries that are kept, the newest first."""
        for sequence in self._sequences():
            yield _decode_recorded((self._folder / f"{sequence}.entry").read_bytes())

    def signed(self, sequence: int) -> dict[str, bytes] | None:
        """The checkpoints, by stream, that were first given with an entry: who continues an export
        gets the same ones. None where none were given yet."""
        try:
            return _decode_signed((self._folder / f"{sequence}.signed").read_bytes())
        except FileNotFoundError:
            return None

    def keep_signed(self, sequence: int, checkpoints: dict[str, bytes]) -> dict[str, bytes]:
        """Keep checkpoints for an entry, unless others are kept already; those that are kept."""
        with self._one:
            known = self.signed(sequence)
            if known is None:
                write_private(self._folder / f"{sequence}.signed", _encode(checkpoints))
            return known or checkpoints

    def tree(self, facts: HeadsFacts) -> tuple[HeadsSnapshot, HeadsTree]:
        """The heads of an entry.

        Raises:
            FileNotFoundError: they are not kept.
            ValueError: the file has changed.
        """
        known = self._known
        if known is None or known[1].root != facts.root:
            snapshot = _decode_snapshot(self._tree_file(facts.root).read_bytes())
            known = self._known = snapshot, heads_tree(snapshot.chains)
        snapshot, tree = known
        if snapshot.facts(tree) != facts:
            raise ValueError("the heads that the notary keeps are not those of the entry")
        return snapshot, tree

    def _tree_file(self, root: bytes) -> Path:
        return self._folder / f"{root.hex()}.tree"

    def _sequences(self) -> Sequence[int]:
        """Of the entries, the newest first."""
        if not self._folder.is_dir():
            return ()
        matches = map(_ENTRY.fullmatch, os.listdir(self._folder))
        return sorted((int(each[1]) for each in matches if each), reverse=True)

    def _remove_old(self) -> None:
        kept = set[Path]()
        for place, sequence in enumerate(self._sequences()):
            file = self._folder / f"{sequence}.entry"
            if place < ENTRIES_KEPT:
                root = _decode_recorded(file.read_bytes()).facts.root
                kept.add(self._tree_file(root))
            else:
                file.unlink()
                file.with_suffix(".signed").unlink(missing_ok=True)
        others = [each for each in self._folder.glob("*.tree") if each not in kept]
        others.sort(key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for each in others[UNRECORDED_KEPT:]:
            each.unlink()
