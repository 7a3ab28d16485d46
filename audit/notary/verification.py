"""Verification of a stream's events against a trusted checkpoint of its log. Pure.

Trust flows from the root downward: every tile is compared with the hash in the tile above it, so
that the first wrong position is known, not only that something is wrong. Memory does not grow with
the log, except by one head for each tenant life. Work is done bundle by bundle, and can begin at
any bundle whose chain is known.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from secaplane.audit.merkle.hashing import leaf_hash, leaf_hashes
from secaplane.audit.merkle.proofs import root
from secaplane.audit.notary.leaves import (
    CommitmentChain,
    LeafEntry,
    LifeHead,
    WrongLeaf,
    commitment,
    digest,
    facts_of,
    parse_leaf,
)
from secaplane.audit.notary.notary_log import HistoryChanged, HowChanged
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.audit.tlog.tile_tree import TILES_CACHED, ReadTile, TileTree
from secaplane.audit.tlog.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    TileName,
    TilesDiffer,
    hashes_of,
    joined,
    split,
    subtree_root,
    tile_holding,
)
from secaplane.model.position import Position


class StoredEvent(NamedTuple):
    """The subject and the stored bytes of an event."""

    subject: str
    data: bytes


class AuthenticatedTiles:
    """The tiles of a log below a trusted head; every hash that is returned belongs to its root."""

    def __init__(self, read: ReadTile, head: TreeHead, stream: str) -> None:
        """Raises HistoryChanged where the incomplete tiles, which the root covers directly, have
        another root."""
        self._read, self.head, self._stream = read, head, stream
        self._cached = OrderedDict[TileName, list[bytes]]()
        try:
            self._incomplete = {
                name: hashes_of(read(name), name.width) for name in _edge(head.size)
            }
        except TilesDiffer as error:
            raise self._changed(head.size, str(error)) from error
        edge = TileTree(lambda name: b"".join(self._incomplete[name]), head.size)
        if root(edge.subtree, head.size) != head.root:
            raise self._changed(head.size, "the newest tiles have another root than the checkpoint")

    def leaf_hashes(self, number: int) -> list[bytes]:
        """The hashes of the leaves of a bundle."""
        width = min(WIDTH, self.head.size - number * WIDTH)
        return self._hashes(TileName(0, number, width))

    def authenticate(self, name: TileName) -> None:
        """Compare a tile of hashes with the tree.

        Raises:
            HistoryChanged: it does not fit.
        """
        self._hashes(name)

    def refuse_another_beginning(self, seen: TreeHead) -> None:
        """Compare with a head that was trusted earlier.

        Raises:
            HistoryChanged: the log was rolled back, or another history was shown before.
        """
        if seen.size > self.head.size:
            position = Position(self._stream, self.head.size + 1)
            raise HistoryChanged(position, "rolled back", f"it had {seen.size} events before")
        tree = TileTree(self._tile, self.head.size)
        if root(tree.subtree, seen.size) != seen.root:
            position = Position(self._stream, seen.size)
            raise HistoryChanged(position, "forked", "an earlier checkpoint is of another history")

    def _tile(self, name: TileName) -> bytes:
        return b"".join(self._hashes(name))

    def _hashes(self, name: TileName) -> list[bytes]:
        """The root covers the incomplete tiles, the hash above it a complete one."""
        known = self._incomplete.get(name) or self._cached.get(name)
        if known is not None:
            return known
        try:
            hashes = hashes_of(self._read(name), name.width)
        except TilesDiffer as error:
            raise self._changed(self._first(name), str(error)) from error
        above, place = tile_holding(name.level + 1, name.number, self.head.size)
        if subtree_root(hashes) != self._hashes(above)[place]:
            raise self._changed(self._first(name), f"{name.path} does not fit the tree")
        self._cached[name] = hashes
        if len(self._cached) > TILES_CACHED:
            self._cached.popitem(last=False)
        return hashes

    def _first(self, name: TileName) -> int:
        """The sequence of the first event below a tile."""
        return (name.number << (HEIGHT * (name.level + 1))) + 1

    def _changed(self, sequence: int, detail: str) -> HistoryChanged:
        return HistoryChanged(Position(self._stream, sequence), "changed", detail)


class EventVerifier:
    """Compares events, bundle by bundle, with the leaves of the log."""

    def __init__(self, tiles: AuthenticatedTiles, read: ReadTile, chain: CommitmentChain) -> None:
        """`chain`: after the last event before the first bundle that is verified."""
        self._tiles, self._read, self._chain = tiles, read, chain
        self.lost, self.first_lost = 0, 0
        """Events that an operator has declared lost, which are never good; the sequence of the
        first one, 0 where there is none."""

    @property
    def chain(self) -> CommitmentChain:
        """After the last event that was verified."""
        return self._chain

    def verify_bundle(
        self, number: int, events: Sequence[StoredEvent | None]
    ) -> Mapping[str, LifeHead]:
        """Compare the events of a bundle; None stands for one that is declared lost. The heads that
        they move.

        Raises:
            HistoryChanged: the first event that differs, and how.
        """
        good = self._all_good(number, events)
        if good is not None:
            return good
        bundle = self._bundle(number)
        for place in range(bundle.width):
            leaf = bundle.leaf(place)
            if place >= len(events):
                raise HistoryChanged(bundle.position(place), "cut")
            self._compare(bundle, leaf, place, events)
        if len(events) > bundle.width:
            position = bundle.position(bundle.width)
            raise HistoryChanged(position, "inserted", "the tree has no such event")
        lives = {facts_of(each.data).life for each in events if each is not None}
        return {life: self._chain.heads[life] for life in lives}

    def _all_good(
        self, number: int, events: Sequence[StoredEvent | None]
    ) -> Mapping[str, LifeHead] | None:
        """The heads that the events of a bundle move, if each has the leaf that the tree has, else
        None; compared as a whole, because that is several times faster than one by one."""
        present = [each for each in events if each is not None]
        hashes = self._tiles.leaf_hashes(number)
        if not len(hashes) == len(events) == len(present):
            return None
        leaves, moved = self._chain.leaves_of(number * WIDTH + 1, present)
        if leaf_hashes(leaves) != hashes:
            return None
        try:
            entries = self._read(TileName(ENTRIES, number, len(hashes)))
        except TilesDiffer:
            return None
        if entries != joined(leaves):
            return None
        self._chain.adopt(moved)
        return moved

    def _bundle(self, number: int) -> "_Bundle":
        hashes = self._tiles.leaf_hashes(number)
        try:
            entries = split(self._read(TileName(ENTRIES, number, len(hashes))), len(hashes))
        except TilesDiffer as error:
            position = Position(self._chain.stream, number * WIDTH + 1)
            raise HistoryChanged(position, "changed", str(error)) from error
        return _Bundle(self._chain.stream, number, hashes, entries)

    def _compare(
        self, bundle: "_Bundle", leaf: LeafEntry, place: int, events: Sequence[StoredEvent | None]
    ) -> None:
        event, position = events[place], bundle.position(place)
        if leaf.commitment is None:
            self.lost += 1
            self.first_lost = self.first_lost or leaf.sequence
            if event is not None:
                raise HistoryChanged(position, "inserted", "it was declared lost")
        elif event is None:
            raise HistoryChanged(position, "missing", "the tree has an event here")
        elif self._chain.next_commitment(*event) != leaf.commitment:
            raise HistoryChanged(position, self._how(bundle, leaf.commitment, place, events))
        elif self._chain.commit(leaf.sequence, *event).leaf != leaf:
            raise HistoryChanged(position, "changed", "its leaf has another time")

    def _how(
        self,
        bundle: "_Bundle",
        expected: bytes,
        place: int,
        events: Sequence[StoredEvent | None],
    ) -> HowChanged:
        """The way in which the event at a place differs, as far as its bundle shows it."""
        event, second = events[place], events[place + 1] if place + 1 < len(events) else None
        fits_next = event is not None and self._fits_after(bundle, expected, place, event)
        if second is not None and self._chain.next_commitment(*second) == expected:
            return "reordered" if fits_next else "inserted"
        return "missing" if fits_next else "changed"

    def _fits_after(
        self, bundle: "_Bundle", expected: bytes, place: int, event: StoredEvent
    ) -> bool:
        """True if the event belongs to the leaf after this one. The event of this leaf may be of
        the same life or not, so both are tried."""
        if place + 1 >= bundle.width:
            return False
        following = bundle.leaf(place + 1).commitment
        head = self._chain.heads.get(facts_of(event.data).life)
        number = head.number if head else 0
        same_life = commitment(number + 2, expected, digest(*event))
        return following in (self._chain.next_commitment(*event), same_life)


class _Bundle(NamedTuple):
    """The entries of a bundle, and the hashes that the tree has for them."""

    stream: str
    number: int
    hashes: Sequence[bytes]
    entries: Sequence[bytes]

    @property
    def width(self) -> int:
        return len(self.hashes)

    def position(self, place: int) -> Position:
        return Position(self.stream, self.number * WIDTH + place + 1)

    def leaf(self, place: int) -> LeafEntry:
        """A leaf of the tree.

        Raises:
            HistoryChanged: the entry is not in the tree, or no leaf of this position.
        """
        position, entry = self.position(place), self.entries[place]
        if leaf_hash(entry) != self.hashes[place]:
            raise HistoryChanged(position, "changed", "its entry is not in the tree")
        try:
            leaf = parse_leaf(entry)
        except WrongLeaf as error:
            raise HistoryChanged(position, "changed", str(error)) from error
        if (leaf.stream, leaf.sequence) != (self.stream, position.sequence):
            raise HistoryChanged(position, "changed", "its leaf is of another position")
        return leaf


def _edge(size: int) -> Iterator[TileName]:
    """The incomplete tiles of a tree: one for each level that has one."""
    level = 0
    while size:
        size, width = divmod(size, WIDTH)
        if width:
            yield TileName(level, size, width)
        level += 1
