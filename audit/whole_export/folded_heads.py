"""The heads of all tenant lives while the events of some streams are taken, and the root over them
at any time. Pure.

A head is hashed again only after it has moved, and the order of heads is kept, so that a root costs
one hash for each head. Memory grows with the number of lives alone.
"""

from collections.abc import Collection, Iterable, Mapping

from secaplane.audit.heads.tree import heads_of_life
from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.notary.leaves import CommitmentChain, LifeHead
from secaplane.audit.notary.verification import StoredEvent


class FoldedHeads:
    def __init__(self, chains: Mapping[str, Mapping[str, LifeHead]]) -> None:
        """`chains`: by stream, the heads to begin with."""
        self._chains = {name: CommitmentChain(name, heads) for name, heads in chains.items()}
        self._streams: tuple[str, ...] = ()
        """Of the newest root."""
        self._moved = set[str]()
        """Lives whose heads have moved since then."""
        self._places = dict[str, tuple[bytes, ...]]()
        """By life: the beginnings of its heads, by which they are sorted."""
        self._hashes = dict[bytes, bytes]()
        """By the beginning of a head: its leaf hash."""
        self._sorted = list[bytes]()

    def adopt(self, stream: str, moved: Mapping[str, LifeHead]) -> None:
        """Take events that were verified, by the heads that they move."""
        self._chains[stream].adopt(moved)
        self._moved.update(moved)

    def take(self, stream: str, events: Iterable[StoredEvent]) -> None:
        """Take the next events of a stream."""
        self.adopt(stream, self._chains[stream].leaves_of(0, events).moved)

    def root(self, streams: Collection[str]) -> tuple[bytes, int]:
        """The root over the heads in some streams, and the number of heads."""
        names = tuple(sorted(streams))
        chains = {name: self._chains[name].heads for name in names}
        if names != self._streams:
            self._streams = names
            self._places, self._hashes, self._sorted = {}, {}, []
            self._moved = {uid for heads in chains.values() for uid in heads}
        self._hash_moved(chains)
        return tree_root(self._hashes[each] for each in self._sorted), len(self._sorted)

    def _hash_moved(self, chains: Mapping[str, Mapping[str, LifeHead]]) -> None:
        """A life that appears in an earlier stream gets another salt, and so other places."""
        added, removed = list[bytes](), False
        for uid in self._moved:
            if not any(uid in heads for heads in chains.values()):
                continue
            texts = {_place(text): text for _, _, text in heads_of_life(uid, chains)}
            before, places = self._places.get(uid), tuple(texts)
            if before != places:
                for each in before or ():
                    del self._hashes[each]
                    removed = True
                added += places
                self._places[uid] = places
            self._hashes.update((place, leaf_hash(text)) for place, text in texts.items())
        self._moved = set()
        if removed:
            self._sorted = [each for each in self._sorted if each in self._hashes]
        if added:
            self._sorted += added
            self._sorted.sort()


def _place(head: bytes) -> bytes:
    """The bytes of a head up to the name of its stream: no two heads have the same."""
    return head.rsplit(b"\n", 3)[0] + b"\n"
