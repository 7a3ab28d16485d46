"""The Merkle log of one stream, as the notary computes it from the stream's events. Pure.

Leaf i is the event at sequence i + 1. The notary begins behind its last stored state; leaves that
were written since then are computed again and compared, so that bytes that have changed meanwhile
are found.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from secaplane.audit.notary.growing_tree import GrowingTree, GrownTree
from secaplane.audit.notary.leaves import (
    CommitmentChain,
    CommittedEvent,
    LifeHead,
    WrongLeaf,
    parse_leaf,
)
from secaplane.eventlog.losses.holes import Hole
from secaplane.model.position import Position

HowChanged = Literal["changed", "missing", "inserted", "reordered", "cut", "rolled back", "forked"]
ReadEntry = Callable[[int], bytes]
"""The stored entry at an index."""


class HistoryChanged(Exception):
    """The stream, or what is stored of its log, is no longer what was committed to."""

    def __init__(self, position: Position, how: HowChanged, detail: str = "") -> None:
        super().__init__(f"{position} is {how}{f': {detail}' if detail else ''}")
        self.position, self.how = position, how


class EventsMissing(Exception):
    """Events before the next one are not in the stream, and not declared lost."""

    def __init__(self, hole: Hole) -> None:
        super().__init__(f"{hole} is missing in the stream")
        self.hole = hole


class NotaryLog:
    """Takes the events of one stream in order."""

    def __init__(
        self, tree: GrowingTree, chain: CommitmentChain, *, after: int, stored: ReadEntry
    ) -> None:
        """`after`: the sequence of the last event in the chain. The tree may be larger: `stored`
        has its entries from there on."""
        self.tree, self._chain, self._stored = tree, chain, stored
        self.stream, self.next, self._recovered = chain.stream, after + 1, tree.size

    @property
    def comparing(self) -> bool:
        """True while the leaves of the stored tree are compared with the stream."""
        return self.next <= self._recovered

    @property
    def heads(self) -> Mapping[str, LifeHead]:
        return self._chain.heads

    def take(self, sequence: int, subject: str, data: bytes) -> CommittedEvent:
        """Take the next event; its place in the chain of its life.

        Raises:
            EventsMissing: the stream has skipped sequences.
            HistoryChanged: another leaf was stored for this event.
        """
        if sequence > self.next:
            raise EventsMissing(Hole(self.stream, self.next, sequence - 1))
        if sequence < self.next:
            raise HistoryChanged(Position(self.stream, sequence), "inserted")
        committed = self._chain.commit(sequence, subject, data)
        self._place(committed.leaf.written)
        return committed

    def lose(self, hole: Hole) -> None:
        """Take the next events as lost: an operator has declared it.

        Raises:
            HistoryChanged: the log holds one of them.
        """
        assert hole.stream == self.stream
        while hole.holds(Position(self.stream, self.next)):
            self._place(self._chain.lose(self.next).written)

    def take_grown(self) -> GrownTree | None:
        """The tree to publish; None until everything stored is compared."""
        return None if self.comparing else self.tree.take()

    def _place(self, leaf: bytes) -> None:
        if self.comparing:
            self._compare(self._stored(self.next - 1), leaf)
        else:
            self.tree.append(leaf)
        self.next += 1

    def _compare(self, stored: bytes, leaf: bytes) -> None:
        if stored == leaf:
            return
        position = Position(self.stream, self.next)
        try:
            before = parse_leaf(stored)
        except WrongLeaf as error:
            raise HistoryChanged(position, "changed", f"its entry: {error}") from error
        if parse_leaf(leaf).commitment is None:
            raise HistoryChanged(position, "missing", "the log holds it")
        raise HistoryChanged(position, "inserted" if before.commitment is None else "changed")
