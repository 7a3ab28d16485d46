"""Verification of events against a checkpoint: every change is found, at its first position."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.notary_log import HistoryChanged
from secaplane.audit.notary.verification import AuthenticatedTiles, EventVerifier, StoredEvent
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.audit.tlog.tiles import ENTRIES, TileName, TilesDiffer, tiles_of
from tests.rules.test_leaves import SUBJECT, stored
from tests.rules.tlog_scene import bytes_of, checkpoint_of

STREAM, SIZE = "SECA", 700
EVENTS = [StoredEvent(SUBJECT, stored(f"life-{n % 3}", n)) for n in range(SIZE)]
CHAIN = CommitmentChain(STREAM)
LEAVES = [CHAIN.commit(n, *event).leaf.written for n, event in enumerate(EVENTS, 1)]
TILES = {name: bytes_of(name, LEAVES) for name in tiles_of(SIZE)}
HEAD = checkpoint_of(LEAVES).head


def verify(
    events: Sequence[StoredEvent | None],
    tiles: Mapping[TileName, bytes] = TILES,
    *,
    head: TreeHead = HEAD,
    seen: TreeHead | None = None,
) -> EventVerifier:
    def read(name: TileName) -> bytes:
        if name not in tiles:
            raise TilesDiffer(f"{name.path} is missing")
        return tiles[name]

    authenticated = AuthenticatedTiles(read, head, STREAM)
    if seen is not None:
        authenticated.refuse_another_beginning(seen)
    verifier = EventVerifier(authenticated, read, CommitmentChain(STREAM))
    last = (head.size - 1) // 256
    for number in range(last + 1):
        end = (number + 1) * 256 if number < last else len(events)
        verifier.verify_bundle(number, events[number * 256 : end])
    return verifier


def test_the_events_of_the_log_are_good() -> None:
    assert verify(EVENTS).lost == 0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 513])
def test_events_are_good_at_every_size(size: int) -> None:
    leaves = LEAVES[:size]
    tiles = {name: bytes_of(name, leaves) for name in tiles_of(size)}
    verify(EVENTS[:size], tiles, head=checkpoint_of(leaves).head)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, SIZE - 2), st.integers(0, 200), st.integers(1, 255))
def test_a_changed_event_is_found(at: int, byte: int, flip: int) -> None:
    data = bytearray(EVENTS[at].data)
    data[byte % len(data)] ^= flip
    changed = [*EVENTS[:at], StoredEvent(SUBJECT, bytes(data)), *EVENTS[at + 1 :]]
    refuse(changed, at + 1, {"changed"})


def refuse(events: Sequence[StoredEvent | None], sequence: int, how: set[str]) -> None:
    with pytest.raises(HistoryChanged) as raised:
        verify(events)
    assert raised.value.position.sequence == sequence
    assert raised.value.how in how


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE - 2))
def test_a_removed_event_is_missing(at: int) -> None:
    """At the end of a bundle the next leaf is not at hand, so it looks changed."""
    how = {"changed"} if at % 256 == 255 else {"missing"}
    refuse([*EVENTS[:at], *EVENTS[at + 1 :]], at + 1, how)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE - 1), st.sampled_from(["life-0", "life-9", ""]))
def test_an_inserted_event_is_found(at: int, life: str) -> None:
    more = StoredEvent(SUBJECT, stored(life, 9999))
    how = {"changed"} if at % 256 == 255 else {"inserted"}
    refuse([*EVENTS[:at], more, *EVENTS[at:]], at + 1, how)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE - 2))
def test_two_events_in_another_order_are_found(at: int) -> None:
    swapped = [*EVENTS[:at], EVENTS[at + 1], EVENTS[at], *EVENTS[at + 2 :]]
    how = {"changed"} if at % 256 == 255 else {"reordered"}
    refuse(swapped, at + 1, how)


def test_two_events_of_one_life_in_another_order_are_found() -> None:
    swapped = [*EVENTS[:10], EVENTS[13], *EVENTS[11:13], EVENTS[10], *EVENTS[14:]]
    refuse(swapped, 11, {"changed"})


def test_another_subject_is_found() -> None:
    moved = [StoredEvent(f"{SUBJECT}x", EVENTS[0].data), *EVENTS[1:]]
    refuse(moved, 1, {"changed"})


@pytest.mark.parametrize("left", [1, 100, 256, 512, 699])
def test_an_end_that_was_cut_is_found(left: int) -> None:
    refuse(EVENTS[:left], left + 1, {"cut"})


def test_events_behind_the_end_are_found() -> None:
    refuse([*EVENTS, EVENTS[0]], SIZE + 1, {"inserted"})


@pytest.mark.parametrize("name", sorted(TILES))
def test_a_changed_tile_or_bundle_is_found(name: TileName) -> None:
    data = TILES[name]
    flipped = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
    for tiles in ({**TILES, name: flipped}, {**TILES, name: data[:-1]}, without(name)):
        with pytest.raises(HistoryChanged) as raised:
            verify(EVENTS, tiles)
        assert raised.value.how == "changed"
        if name.level <= 0:
            first = name.number * 256
            assert first < raised.value.position.sequence <= first + name.width


def without(name: TileName) -> dict[TileName, bytes]:
    return {each: data for each, data in TILES.items() if each != name}


def test_leaves_and_events_that_agree_and_are_not_in_the_tree_are_found() -> None:
    """An attacker who computes every leaf and tile again has no signed root for them."""
    forged = [*EVENTS[:300], StoredEvent(SUBJECT, stored("life-0", 9999)), *EVENTS[301:]]
    chain = CommitmentChain(STREAM)
    leaves = [chain.commit(n, *event).leaf.written for n, event in enumerate(forged, 1)]
    tiles = {name: bytes_of(name, leaves) for name in tiles_of(SIZE)}
    with pytest.raises(HistoryChanged):
        verify(forged, tiles)
    own_root = {**tiles, TileName(1, 0, 2): TILES[TileName(1, 0, 2)]}
    own_root[TileName(0, 2, 188)] = TILES[TileName(0, 2, 188)]
    with pytest.raises(HistoryChanged, match="does not fit the tree") as raised:
        verify(forged, own_root)
    assert 256 < raised.value.position.sequence <= 301


def test_an_earlier_checkpoint_shows_a_rollback_and_a_fork() -> None:
    for size in (0, 1, 255, 256, 300, 512, SIZE):
        verify(EVENTS, seen=checkpoint_of(LEAVES[:size]).head)
    later = TreeHead(HEAD.origin, SIZE + 5, bytes(32))
    with pytest.raises(HistoryChanged, match="rolled back"):
        verify(EVENTS, seen=later)
    other = checkpoint_of([*LEAVES[:100], LEAVES[0]]).head
    with pytest.raises(HistoryChanged, match="forked"):
        verify(EVENTS, seen=other)


def test_a_lost_event_is_counted_and_nothing_can_take_its_place() -> None:
    chain = CommitmentChain(STREAM)
    leaves = [chain.commit(n, *event).leaf.written for n, event in enumerate(EVENTS[:5], 1)]
    leaves.append(chain.lose(6).written)
    leaves.append(chain.commit(7, *EVENTS[6]).leaf.written)
    tiles = {name: bytes_of(name, leaves) for name in tiles_of(7)}
    head = checkpoint_of(leaves).head
    assert verify([*EVENTS[:5], None, EVENTS[6]], tiles, head=head).lost == 1
    with pytest.raises(HistoryChanged, match="SECA:6 is inserted"):
        verify(EVENTS[:7], tiles, head=head)
    with pytest.raises(HistoryChanged, match="SECA:3 is missing"):
        verify([*EVENTS[:2], None, *EVENTS[3:5], None, EVENTS[6]], tiles, head=head)


def test_a_leaf_of_another_position_is_found_though_it_is_in_the_tree() -> None:
    """A notary that signs a leaf twice."""
    leaves = [LEAVES[0], LEAVES[0]]
    tiles = {name: bytes_of(name, leaves) for name in tiles_of(2)}
    assert tiles[TileName(ENTRIES, 0, 2)]
    with pytest.raises(HistoryChanged, match="SECA:2 is changed: its leaf is of another position"):
        verify(EVENTS[:2], tiles, head=checkpoint_of(leaves).head)
