"""Merkle trees: the same roots and proofs as RFC 6962 defines, and no other proof is accepted."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.merkle.hashing import (
    EMPTY_ROOT,
    MerkleFrontier,
    leaf_hash,
    node_hash,
    tree_root,
)
from secaplane.audit.merkle.proofs import (
    ReadSubtree,
    WrongProof,
    complete_subtrees,
    frontier,
    prove_consistency,
    prove_inclusion,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.rules import small_trees

VECTORS = (
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
)
"""The test vectors of Certificate Transparency: each entry, and the root of the tree up to it."""


def entries_of(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def subtrees(entries: Sequence[bytes]) -> ReadSubtree:
    def read(level: int, index: int) -> bytes:
        part = entries[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return small_trees.mth(part)

    return read


def test_the_roots_are_those_of_the_vectors_of_certificate_transparency() -> None:
    growing = MerkleFrontier()
    assert growing.root == EMPTY_ROOT == tree_root([])
    for entry, expected in VECTORS:
        growing.append(leaf_hash(bytes.fromhex(entry)))
        assert growing.root.hex() == expected


@pytest.mark.parametrize("size", range(70))
def test_every_root_and_proof_of_small_trees_is_the_one_that_rfc_6962_defines(size: int) -> None:
    entries = entries_of(size)
    read, expected = subtrees(entries), small_trees.mth(entries)
    assert root(read, size) == expected == tree_root(map(leaf_hash, entries))
    for index in range(size):
        proof = prove_inclusion(read, index, size)
        assert proof == small_trees.path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, expected)
    for old in range(size + 1):
        proof = prove_consistency(read, old, size)
        assert proof == (small_trees.proof(old, entries) if old else [])
        verify_consistency(old, small_trees.mth(entries[:old]), size, expected, proof)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_complete_subtrees_cover_a_range_without_gap(one: int, other: int) -> None:
    first, end = sorted((one, other))
    at = first
    for level, index in complete_subtrees(first, end):
        assert index << level == at
        at = (index + 1) << level
    assert at == end


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_frontier_of_a_stored_tree_grows_like_one_that_was_never_stored(
    size: int, more: int
) -> None:
    entries = entries_of(size + more)
    growing = frontier(subtrees(entries), size)
    for each in entries[size:]:
        growing.append(leaf_hash(each))
    assert growing.root == tree_root(map(leaf_hash, entries))


def changed(proof: list[bytes], how: str, place: int) -> list[bytes]:
    at = place % max(1, len(proof))
    match how:
        case "flipped" if proof:
            return [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
        case "removed" if proof:
            return [*proof[:at], *proof[at + 1 :]]
        case "doubled" if proof:
            return [*proof[: at + 1], *proof[at:]]
        case "swapped" if len(set(proof)) > 1:
            return proof[::-1]
    return [*proof, leaf_hash(b"added")]


CHANGES = st.sampled_from(["flipped", "removed", "doubled", "swapped", "added"])


@settings(max_examples=400)
@given(st.integers(1, 130), st.integers(0, 129), CHANGES, st.integers(0, 20))
def test_a_changed_inclusion_proof_is_refused(size: int, index: int, how: str, place: int) -> None:
    entries, index = entries_of(size), index % size
    proof = prove_inclusion(subtrees(entries), index, size)
    with pytest.raises(WrongProof):
        verify_inclusion(
            leaf_hash(entries[index]),
            index,
            size,
            changed(proof, how, place),
            tree_root_of(entries),
        )


@given(st.integers(2, 130), st.integers(0, 129), st.integers(0, 129))
def test_a_leaf_is_at_no_other_index(size: int, index: int, other: int) -> None:
    entries, index, other = entries_of(size), index % size, other % size
    proof = prove_inclusion(subtrees(entries), index, size)
    for hashed, at in ((leaf_hash(entries[index]), other), (leaf_hash(entries[other]), index)):
        if index != other:
            with pytest.raises(WrongProof):
                verify_inclusion(hashed, at, size, proof, tree_root_of(entries))


@settings(max_examples=400)
@given(st.integers(1, 130), st.integers(0, 130), CHANGES, st.integers(0, 20))
def test_a_changed_consistency_proof_is_refused(size: int, old: int, how: str, place: int) -> None:
    entries, old = entries_of(size), old % (size + 1)
    proof = changed(prove_consistency(subtrees(entries), old, size), how, place)
    with pytest.raises(WrongProof):
        verify_consistency(old, tree_root_of(entries[:old]), size, tree_root_of(entries), proof)


@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 129))
def test_a_forked_tree_is_not_consistent(size: int, old: int, place: int) -> None:
    old = min(old, size)
    entries = entries_of(size)
    forked = list(entries)
    forked[place % old] = b"forked"
    proof = prove_consistency(subtrees(forked), old, size)
    with pytest.raises(WrongProof):
        verify_consistency(old, tree_root_of(entries[:old]), size, tree_root_of(forked), proof)


def test_sizes_that_no_tree_has_are_refused() -> None:
    read = subtrees(entries_of(4))
    with pytest.raises(ValueError, match="a tree of 4 leaves"):
        prove_inclusion(read, 4, 4)
    with pytest.raises(ValueError, match="a tree of 4 leaves"):
        prove_consistency(read, 5, 4)
    with pytest.raises(WrongProof):
        verify_inclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    with pytest.raises(WrongProof):
        verify_consistency(2, EMPTY_ROOT, 1, EMPTY_ROOT, [])
    with pytest.raises(WrongProof):
        verify_consistency(0, node_hash(b"", b""), 1, EMPTY_ROOT, [])
    with pytest.raises(ValueError, match="complete subtrees"):
        MerkleFrontier(3, [])


def tree_root_of(entries: Sequence[bytes]) -> bytes:
    return tree_root(map(leaf_hash, entries))
