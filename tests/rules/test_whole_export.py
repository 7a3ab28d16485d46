"""A whole export: every root of heads that its audit stream has is compared with the events."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from secaplane.audit.entries import HeadsFacts
from secaplane.audit.heads.tree import heads_tree
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.notary.verified_export import Saved, TrustedFacts, VerifiedProgress
from secaplane.audit.whole_export import verifying
from secaplane.audit.whole_export.folded_heads import FoldedHeads
from secaplane.audit.whole_export.verifying import VerifiedHistory, verify_history
from secaplane.cli.operate.history_verify import read_policy
from tests.bench import exported
from tests.bench.exported_heads import Told, audit_events, write_audit, wrong_root
from tests.rules.tenant_scene import AUDIT
from tests.rules.test_leaves import SUBJECT, stored

SIZE, STREAM = 700, exported.STREAM
SIZES = (0, 1, 200, 256, 257, 257, 300, 510, 700)
EVENTS = [*exported.events(SIZE)]


def told_rightly(number: int, facts: HeadsFacts) -> HeadsFacts:
    return facts


def export(
    place: Path, sizes: Sequence[int] = SIZES, told: Told = told_rightly, size: int = SIZE
) -> Path:
    exported.write(place / "export", size)
    write_audit(place / "export", audit_events(EVENTS, sizes, told))
    return place / "export"


def verified(
    folder: Path,
    progress: dict[str, VerifiedProgress] | None = None,
    save: Saved = lambda progress: None,
) -> VerifiedHistory:
    policy = read_policy(exported.write_policy(folder.parent / "policy", audit=True))
    folders = [*sorted(folder.iterdir())]
    return verify_history(folders, TrustedFacts(policy), progress=progress or {}, save=save)


def test_every_entry_about_heads_is_compared(tmp_path: Path) -> None:
    result = verified(export(tmp_path))
    assert not any(each.findings for each in result.streams)
    assert (result.heads, result.findings, result.unseen) == (len(SIZES), [], [])


@pytest.mark.parametrize("wrong", range(len(SIZES)))
def test_a_wrong_root_is_found_at_its_entry_and_the_others_are_good(
    tmp_path: Path, wrong: int
) -> None:
    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        return wrong_root(facts) if number == wrong else facts

    result = verified(export(tmp_path, told=told))
    position = f"{AUDIT}:{3 * wrong + 3}"
    detail = "its root of heads is not that of the events"
    assert result.findings == [f"{position} is wrong: {detail}"]
    assert result.heads == len(SIZES) - 1
    assert not any(each.findings for each in result.streams)


def test_a_wrong_number_of_heads_or_of_events_is_found(tmp_path: Path) -> None:
    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        if number == 2:
            return replace(facts, size=facts.size + 1)
        less = {**facts.streams, STREAM: facts.streams[STREAM] - 1}
        return replace(facts, streams=less) if number == 8 else facts

    result = verified(export(tmp_path, told=told))
    assert [each.partition(" is ")[0] for each in result.findings] == [f"{AUDIT}:9", f"{AUDIT}:27"]


def test_a_log_that_was_cut_before_its_heads_is_found_without_an_earlier_checkpoint(
    tmp_path: Path,
) -> None:
    """Each log is signed, and in itself good."""
    result = verified(export(tmp_path, size=600))
    assert result.findings == [f"{STREAM}:601 is cut: {AUDIT}:27 is about 700 events"]


def test_a_stream_that_heads_are_about_cannot_be_left_out(tmp_path: Path) -> None:
    folder = export(tmp_path)
    (folder / STREAM).rename(tmp_path / "elsewhere")
    found = verified(folder).findings
    assert found[0] == f"{STREAM} is missing: {AUDIT}:3 is about its heads"


def test_an_event_that_was_changed_is_named_and_not_the_heads(tmp_path: Path) -> None:
    folder = export(tmp_path)
    for stream in (STREAM, AUDIT):
        file = folder / stream / "events/000"
        data = file.read_bytes()
        file.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        result = verified(folder)
        named = {each.stream: each.findings for each in result.streams if each.findings}
        assert [*named] == [stream]
        assert result.findings == []
        file.write_bytes(data)


def test_entries_that_were_recorded_in_another_order_are_compared(tmp_path: Path) -> None:
    """Two processes have asked the notary, and the second one appends first."""
    kept = list[HeadsFacts]()

    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        kept.append(facts)
        return kept[{3: 2, 4: 1}.get(number, number)]

    result = verified(export(tmp_path, told=told))
    assert (result.heads, result.findings, result.unseen) == (len(SIZES), [], [])


def test_heads_that_were_never_valid_at_the_same_time_are_reported(tmp_path: Path) -> None:
    kept = list[HeadsFacts]()

    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        kept.append(facts)
        mixed = {STREAM: 50, AUDIT: facts.streams[AUDIT]}
        return replace(facts, streams=mixed) if number == 5 else facts

    result = verified(export(tmp_path, told=told))
    position = f"{AUDIT}:18"
    assert any(position in each for each in [*result.unseen, *result.findings])


def test_a_verification_goes_on_from_any_point_at_which_it_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundles that were verified are not read again, and a wrong root behind them is found."""
    monkeypatch.setattr(verifying, "SAVED_BUNDLES", 1)

    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        return wrong_root(facts) if number == 8 else facts

    states = list[dict[str, VerifiedProgress]]()
    folder = export(tmp_path)
    verified(folder, save=lambda some: states.append({each.origin: each for each in some}))
    assert len(states) == 4
    assert {each.bundles for state in states for each in state.values()} >= {0, 1, 3}
    for state in states:
        again = verified(folder, state)
        assert (again.heads, again.findings, again.unseen) == (len(SIZES), [], [])
        assert not any(each.findings for each in again.streams)
    (folder / STREAM / "events/000").unlink()
    assert [bool(verified(folder, each).streams[0].findings) for each in states].count(False) >= 1


def test_no_state_is_saved_after_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "SAVED_BUNDLES", 1)

    def told(number: int, facts: HeadsFacts) -> HeadsFacts:
        return wrong_root(facts) if number == 0 else facts

    states = list[Sequence[VerifiedProgress]]()
    verified(export(tmp_path, told=told), save=states.append)
    assert all(each.heads == 0 for state in states for each in state)


_EVENT = st.tuples(st.sampled_from("ABC"), st.integers(0, 5))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_EVENT, max_size=6), max_size=6), st.booleans())
def test_the_folded_root_is_that_of_all_heads_at_any_time(
    steps: list[list[tuple[str, int]]], fewer: bool
) -> None:
    """Lives begin in any stream, and get another salt when they appear in an earlier one."""
    chains = {name: CommitmentChain(name) for name in "ABC"}
    folded, number = FoldedHeads({name: {} for name in "ABC"}), 0
    seeded = random.Random(1)
    for step in steps:
        for stream, life in step:
            number += 1
            event = StoredEvent(SUBJECT, stored(f"life-{life}", number))
            chains[stream].commit(number, *event)
            folded.take(stream, [event])
        names = seeded.sample("ABC", 2) if fewer else "ABC"
        expected = heads_tree({name: chains[name].heads for name in names})
        assert folded.root([*names]) == (expected.root, expected.size)
