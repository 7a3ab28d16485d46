"""Proofs that a leaf is in a tree, and that one tree is the beginning of another. Pure.

RFC 6962, sections 2.1.1 and 2.1.2; the verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2.
A prover needs the roots of complete subtrees alone: the hashes that tiles hold.
"""

from collections.abc import Callable, Iterator, Sequence

from secaplane.audit.merkle.hashing import EMPTY_ROOT, MerkleFrontier, node_hash

ReadSubtree = Callable[[int, int], bytes]
"""(level, index) -> root of the complete subtree over the leaves from `index << level` up to
`(index + 1) << level`; level 0 are the leaf hashes."""


class WrongProof(Exception):
    """A proof that does not fit what it is to prove."""


def complete_subtrees(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The (level, index) of the fewest complete subtrees that cover the leaves from `first` up to
    `end`, from left to right."""
    while first < end:
        aligned = (first & -first).bit_length() - 1 if first else end.bit_length()
        level = min(aligned, (end - first).bit_length() - 1)
        yield level, first >> level
        first += 1 << level


def frontier(read: ReadSubtree, size: int) -> MerkleFrontier:
    """The frontier of a tree of so many leaves."""
    return MerkleFrontier(size, [read(*each) for each in complete_subtrees(0, size)])


def root(read: ReadSubtree, size: int) -> bytes:
    return frontier(read, size).root


def prove_inclusion(read: ReadSubtree, index: int, size: int) -> list[bytes]:
    """The hashes beside the path from a leaf to the root, from the leaf upward.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path, first, end = list[bytes](), 0, size
    while end - first > 1:
        middle = first + _largest_power_below(end - first)
        if index < middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, first, middle))
            first = middle
    return path[::-1]


def prove_consistency(read: ReadSubtree, old: int, new: int) -> list[bytes]:
    """The hashes that show that the first `old` leaves of a tree of `new` leaves are the old tree.

    Raises:
        ValueError: the old tree is larger.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not begin with {old} leaves")
    if old in (0, new):
        return []
    path, first, end = list[bytes](), 0, new
    while end != old:
        middle = first + _largest_power_below(end - first)
        if old <= middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, first, middle))
            first = middle
    if first:
        path.append(_range_root(read, first, end))
    return path[::-1]


def verify_inclusion(
    hashed: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes
) -> None:
    """Check that a leaf with this hash is at an index of the tree with the expected root.

    Raises:
        WrongProof: the proof does not show that.
    """
    if not 0 <= index < size:
        raise WrongProof(f"a tree of {size} leaves has no leaf {index}")
    computed = hashed
    for left, each in _walk(index, size - 1, proof):
        computed = node_hash(each, computed) if left else node_hash(computed, each)
    if computed != expected:
        raise WrongProof("the proof leads to another root")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Raises:
        WrongProof: the proof does not show that.
    """
    if not 0 <= old <= new:
        raise WrongProof(f"a tree of {new} leaves does not begin with {old} leaves")
    if old in (0, new):
        _verify_without_hashes(old, old_root, new, new_root, proof)
        return
    hashes = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not hashes:
        raise WrongProof("the proof is too short")
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    computed_old = computed_new = hashes[0]
    for left, each in _walk(number, last, hashes[1:]):
        if left:
            computed_old = node_hash(each, computed_old)
        computed_new = node_hash(each, computed_new) if left else node_hash(computed_new, each)
    if computed_old != old_root or computed_new != new_root:
        raise WrongProof("the proof leads to other roots")


def _walk(number: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Each hash of a proof, and whether it is left of the path from node `number` of a row, whose
    last node is `last`, to the root.

    Raises:
        WrongProof: the path has another length.
    """
    for each in proof:
        if not last:
            raise WrongProof("the proof is too long")
        left = bool(number & 1) or number == last
        yield left, each
        while left and number and not number & 1:
            number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
    if last:
        raise WrongProof("the proof is too short")


def _verify_without_hashes(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """The cases that need no proof: the old tree is empty, or both have the same size."""
    if proof:
        raise WrongProof("the proof is too long")
    if old == new and old_root != new_root:
        raise WrongProof("two trees of the same size differ")
    if (not old and old_root != EMPTY_ROOT) or (not new and new_root != EMPTY_ROOT):
        raise WrongProof("a tree without leaves has another root")


def _range_root(read: ReadSubtree, first: int, end: int) -> bytes:
    """The root over the leaves from `first` up to `end`, which is a subtree of the whole tree."""
    roots = [read(*each) for each in complete_subtrees(first, end)]
    computed = roots.pop()
    for left in reversed(roots):
        computed = node_hash(left, computed)
    return computed


def _largest_power_below(number: int) -> int:
    """The largest power of two that is smaller than the number."""
    return 1 << ((number - 1).bit_length() - 1)
