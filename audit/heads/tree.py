"""The heads of all tenant lives, as one sorted Merkle tree. Pure.

    head  = "secaplane/head/v1\\n<base64 life>\\n<stream>\\n<number>\\n<base64 commitment>\\n"
    life  = SHA-256("secaplane/life/v1\\n" || uid of the tenant life || "\\n" || salt)

A life has a head in every stream: its last event there, or number 0 and zero bytes where it has
none. The salt is that of the life's first event in the first stream, by name, that has one: the
tenant has it in its own export, and strangers do not. The heads are sorted by their bytes. A tenant
whose last event is the head of its life has every event before: the numbers run without gap.
"""

import base64
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.merkle.proofs import prove_inclusion, verify_inclusion
from secaplane.audit.notary.leaves import FIRST_PREVIOUS, LifeHead
from secaplane.audit.tlog.tiles import subtree_root

_HEADER, _LIFE = "secaplane/head/v1", b"secaplane/life/v1\n"
Chains = Mapping[str, Mapping[str, LifeHead]]
"""By the name of a stream: the head of each life that has events there, by its uid."""


class HeadProof(NamedTuple):
    """The place of a head among all, and the hashes up to their root."""

    place: int
    size: int
    hashes: tuple[bytes, ...]

    def verify(self, head: bytes, root: bytes) -> None:
        """Raises WrongProof where the head is not in the tree of that root."""
        verify_inclusion(leaf_hash(head), self.place, self.size, self.hashes, root)


class HeadsTree:
    """The heads of some streams at one time."""

    def __init__(self, heads: Iterable[bytes]) -> None:
        self.heads = sorted(heads)
        self._hashes = [leaf_hash(each) for each in self.heads]

    @property
    def size(self) -> int:
        return len(self.heads)

    @property
    def root(self) -> bytes:
        return tree_root(self._hashes)

    def prove(self, head: bytes) -> HeadProof:
        """The proof for one head.

        Raises:
            KeyError: it is not among the heads.
        """
        index = bisect_left(self.heads, head)
        if index == self.size or self.heads[index] != head:
            raise KeyError("the head is not among the heads")
        return HeadProof(index, self.size, tuple(prove_inclusion(self._subtree, index, self.size)))

    def _subtree(self, level: int, index: int) -> bytes:
        return subtree_root(self._hashes[index << level : (index + 1) << level])


def life_hash(uid: str, salt: bytes) -> bytes:
    return hashlib.sha256(b"%b%b\n%b" % (_LIFE, uid.encode(), salt)).digest()


def head_text(life: bytes, stream: str, number: int, commitment: bytes) -> bytes:
    """The bytes of one head; `life` is the hash of a life."""
    hidden, committed = (base64.b64encode(each).decode() for each in (life, commitment))
    return f"{_HEADER}\n{hidden}\n{stream}\n{number}\n{committed}\n".encode()


def heads_of_life(uid: str, chains: Chains) -> Iterator[tuple[str, int, bytes]]:
    """(stream, number, bytes) of the heads of one life, by the names of the streams."""
    own = {stream: chains[stream].get(uid) for stream in sorted(chains)}
    salt = next((head.salt for head in own.values() if head is not None), b"")
    life = life_hash(uid, salt)
    for stream, head in own.items():
        number, committed = head[:2] if head is not None else (0, FIRST_PREVIOUS)
        yield stream, number, head_text(life, stream, number, committed)


def heads_tree(chains: Chains) -> HeadsTree:
    """The tree over the heads of every stream."""
    lives = {uid for heads in chains.values() for uid in heads}
    return HeadsTree(text for uid in lives for _, _, text in heads_of_life(uid, chains))
