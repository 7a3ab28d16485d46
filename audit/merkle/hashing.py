"""Merkle tree hashes of RFC 6962, section 2.1, with SHA-256. Pure."""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""
_LEAF, _NODE = b"\x00", b"\x01"
_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    return _sha256(_LEAF + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    return [_sha256(_LEAF + each).digest() for each in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(_NODE + left + right).digest()


def node_hashes(row: Sequence[bytes]) -> list[bytes]:
    """The hashes above an even number of hashes."""
    pairs = zip(row[::2], row[1::2], strict=True)
    return [_sha256(_NODE + left + right).digest() for left, right in pairs]


class MerkleFrontier:
    """The roots of the complete subtrees of a growing tree, the largest first: enough to append a
    leaf and to compute the root. One hash for each bit that is set in `size`."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size, self._roots = size, list(roots)
        if len(self._roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees")

    def append(self, hashed: bytes) -> None:
        """Append one leaf by its hash."""
        size, roots = self.size, self._roots
        while size & 1:
            hashed = node_hash(roots.pop(), hashed)
            size >>= 1
        roots.append(hashed)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over some leaf hashes."""
    frontier = MerkleFrontier()
    for each in leaf_hashes:
        frontier.append(each)
    return frontier.root
