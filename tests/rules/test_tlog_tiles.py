"""Tiles, bundles and proofs of a log, as C2SP specifies them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.merkle.proofs import WrongProof, prove_inclusion, root
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import NoteSigner, WrongNote
from secaplane.audit.tlog.tile_tree import TileTree
from secaplane.audit.tlog.tiles import (
    ENTRIES,
    TileName,
    TilesDiffer,
    hashes_of,
    joined,
    split,
    tile_holding,
    tile_name,
    tiles_of,
)
from secaplane.audit.tlog.tlog_proofs import TlogProof, parse_proof
from tests.rules.tlog_scene import ORIGIN, SIGNER, WITNESSES, bytes_of, checkpoint_of

FEW = [b"entry %d" % number for number in range(300)]
POLICY = f"""
# the log and its witnesses
log {SIGNER.public.text}
witness one {WITNESSES[0].public.text} https://witness1.example
witness two {WITNESSES[1].public.text}
witness three\t{WITNESSES[2].public.text}
group most 2 one two three
quorum most
"""


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(1, 1234067), "tile/1/x001/x234/067"),
        (TileName(63, 999, 1), "tile/63/999.p/1"),
        (TileName(ENTRIES, 1000, 255), "tile/entries/x001/000.p/255"),
        (TileName(2, 123456789012), "tile/2/x123/x456/x789/012"),
    ],
)
def test_the_path_of_a_tile_is_the_one_of_the_specification(name: TileName, path: str) -> None:
    assert name.path == path
    assert tile_name(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/../000",
        "tile/data/000",
        "checkpoint",
        "tile/0/000\n",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        tile_name(path)


@given(st.integers(0, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_a_path_names_one_tile(level: int, number: int, width: int) -> None:
    name = TileName(level, number, width)
    assert tile_name(name.path) == name


def test_the_tiles_of_70000_leaves_are_those_of_the_example_in_the_specification() -> None:
    tiles = [each for each in tiles_of(70_000) if each.level != ENTRIES]
    assert sum(each.level == 0 and each.width == 256 for each in tiles) == 273
    assert [each for each in tiles if each.width < 256] == [
        TileName(0, 273, 112),
        TileName(1, 1, 17),
        TileName(2, 0, 1),
    ]
    assert [*tiles_of(256)] == [TileName(ENTRIES, 0), TileName(0, 0), TileName(1, 0, 1)]
    assert [*tiles_of(0)] == []


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_entries_are_read_from_their_bundle(entries: list[bytes]) -> None:
    assert split(joined(entries), len(entries)) == entries
    for width in (len(entries) - 1, len(entries) + 1):
        with pytest.raises(TilesDiffer):
            split(joined(entries), width)


def test_a_bundle_that_is_cut_is_refused() -> None:
    bundle = joined([b"one", b"two"])
    for end in (*range(5), *range(6, len(bundle))):
        with pytest.raises(TilesDiffer):
            split(bundle[:end], 2)
    with pytest.raises(TilesDiffer):
        hashes_of(bytes(33), 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 700))
def test_roots_and_proofs_are_made_from_tiles(size: int) -> None:
    entries = [b"%d" % number for number in range(size)]
    tiles = {each: bytes_of(each, entries) for each in tiles_of(size)}
    tree = TileTree(tiles.__getitem__, size)
    assert root(tree.subtree, size) == tree_root(map(leaf_hash, entries))
    with pytest.raises(ValueError, match="has no"):
        tree.subtree(0, size)
    with pytest.raises(ValueError, match="has no"):
        tile_holding(ENTRIES, size, size)


def proof_of(index: int, checkpoint_entries: list[bytes]) -> TlogProof:
    checkpoint = checkpoint_of(checkpoint_entries, witnesses=WITNESSES[:2])
    size = len(checkpoint_entries)
    tree = TileTree(lambda name: bytes_of(name, checkpoint_entries), size)
    hashes = prove_inclusion(tree.subtree, index, size)
    return TlogProof(index, tuple(hashes), checkpoint, b"extra bytes")


def test_a_proof_is_written_read_and_verified() -> None:
    proof = proof_of(123, FEW)
    again = parse_proof(proof.written)
    assert again == proof
    assert proof.written.startswith(b"c2sp.org/tlog-proof@v1\nextra ZXh0cmEgYnl0ZXM=\nindex 123\n")
    again.verify(FEW[123])
    with pytest.raises(WrongProof):
        again.verify(FEW[124])
    assert parse_policy(POLICY).verify(again.checkpoint).witnesses == ("one", "two")
    alone = proof._replace(extra=b"")
    assert parse_proof(alone.written) == alone


@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    written, policy = WRITTEN_PROOF, PARSED_POLICY
    at = data.draw(st.integers(0, len(written) - 1))
    flipped = bytes([written[at] ^ data.draw(st.integers(1, 255))])
    how = data.draw(st.sampled_from(["changed", "removed", "inserted"]))
    end = written[at:] if how == "inserted" else written[at + 1 :]
    changed = written[:at] + (b"" if how == "removed" else flipped) + end
    try:
        proof = parse_proof(changed)
        proof.verify(FEW[123])
        checked = policy.verify(proof.checkpoint)
    except (WrongProof, WrongNote):
        return
    # extra data are not authenticated, nor are signatures of unknown keys
    assert checked.head == parse_proof(written).checkpoint.head
    assert proof.leaf_index == 123


WRITTEN_PROOF, PARSED_POLICY = proof_of(123, FEW).written, parse_policy(POLICY)


@pytest.mark.parametrize(("count", "reached"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_checkpoint_needs_the_quorum_of_the_policy(count: int, reached: bool) -> None:
    checkpoint, policy = checkpoint_of(FEW, witnesses=WITNESSES[:count]), parse_policy(POLICY)
    if reached:
        assert len(policy.verify(checkpoint).witnesses) == count
    else:
        with pytest.raises(WrongNote, match="quorum most is not reached"):
            policy.verify(checkpoint)


def test_a_checkpoint_of_another_log_or_another_key_is_refused() -> None:
    policy = parse_policy(f"log {SIGNER.public.text}\nquorum none")
    assert policy.verify(checkpoint_of(FEW)).log_keys == (ORIGIN,)
    other = NoteSigner(ORIGIN, bytes(32))
    with pytest.raises(WrongNote, match="no key"):
        policy.verify(checkpoint_of(FEW, signers=[other]))
    with pytest.raises(WrongNote, match="names no key of the log other"):
        policy.verify(checkpoint_of(FEW, origin="other.example"))
    rotating = checkpoint_of(FEW, signers=[other, SIGNER])
    assert policy.verify(rotating).log_keys == (ORIGIN,)


def test_groups_of_a_policy_can_contain_groups() -> None:
    lines = [
        f"log {SIGNER.public.text}",
        *(f"witness {n} {each.public.text}" for n, each in enumerate(WITNESSES)),
        "group any-of any 0 1",
        "group both all any-of 2",
        "quorum both",
    ]
    policy = parse_policy("\n".join(lines))
    for present, reached in (((), False), (("0", "1"), False), (("1", "2"), True)):
        assert policy.reached(present) is reached


def lines_of_policy(*more: str) -> str:
    return "\n".join((POLICY.replace("quorum most", "").strip(), *more))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one line `quorum`"),
        (lines_of_policy(), "one line `quorum`"),
        (lines_of_policy("quorum most", "quorum none"), "a second quorum"),
        (lines_of_policy("quorum unknown"), "line 7: unknown is not defined"),
        (lines_of_policy("group again 1 one", "quorum again"), "a member twice"),
        (lines_of_policy("group one 1 most", "quorum one"), "used already"),
        (lines_of_policy("group more 2 most", "quorum more"), "no threshold 2"),
        (lines_of_policy("group more 0 most", "quorum more"), "no threshold 0"),
        (lines_of_policy(f"log {SIGNER.public.text}", "quorum most"), "named twice"),
        (lines_of_policy(f"log {WITNESSES[0].public.text}", "quorum most"), "wrong type"),
        (lines_of_policy("logs x", "quorum most"), "logs begins no line"),
        (lines_of_policy("log", "quorum most"), "too few or too many words"),
        (lines_of_policy("quorum\x0bmost"), "control character"),
    ],
)
def test_a_malformed_policy_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_policy(text)


def test_a_policy_says_which_witnesses_it_knows_and_where_they_are() -> None:
    policy: TlogPolicy = parse_policy(POLICY)
    assert {name: each.url for name, each in policy.witnesses.items()} == {
        "one": "https://witness1.example",
        "two": "",
        "three": "",
    }
