"""The heads of all tenant lives, as one sorted Merkle tree. Pure.

    head  = "secaplane/head/v1\\n<base64 life>\\n<stream>\\n<number>\\n<base64 commitment>\\n"
    life  = SHA-256("secaplane/life/v1\\n" || uid of the tenant life || "\\n" || salt)

The salt is that of the life's first event in the stream, which the tenant has in its export. The
heads are sorted by their bytes, so that two adjacent ones prove that none is between them. A tenant
whose last event is the head of its life has every event before: the numbers run without gap.
"""

import base64
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.merkle.proofs import prove_inclusion, verify_inclusion
from secaplane.audit.notary.leaves import LifeHead
from secaplane.audit.tlog.tiles import subtree_root

_HEADER, _LIFE = "secaplane/head/v1", b"secaplane/life/v1\n"


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


def head_text(uid: str, stream: str, head: LifeHead) -> bytes:
    """The bytes of one head."""
    life = base64.b64encode(life_hash(uid, head.salt)).decode()
    committed = base64.b64encode(head.commitment).decode()
    return f"{_HEADER}\n{life}\n{stream}\n{head.number}\n{committed}\n".encode()


def heads_tree(chains: Mapping[str, Mapping[str, LifeHead]]) -> HeadsTree:
    """The tree over the heads of every stream, by the name of the stream."""
    return HeadsTree(
        head_text(uid, stream, head)
        for stream, heads in chains.items()
        for uid, head in heads.items()
    )
