"""The export of one tenant: complete up to the entry about heads, every change of it is found."""

import random
from pathlib import Path

import msgspec
import pytest

from secaplane.audit.notary.verified_export import TrustedFacts
from secaplane.audit.tenant_export.folder import (
    TENANT_PATH,
    TenantRecord,
    joined_records,
    parse_tenant,
    split_records,
)
from secaplane.audit.tenant_export.verifying import VerifiedTenant, verify_tenant
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.policies import parse_policy
from tests.rules.tenant_scene import AUDIT, LIFE, POLICY, STREAM, TenantScene, events, write

SCENE = TenantScene(events(700), covered=650)
FILES = SCENE.files()
OWN = [at for at in range(650) if at % 3 == 1]
SEEN = [parse_checkpoint(SCENE.checkpoint(STREAM, 512)).head]


def verified(
    folder: Path, seen: list[TreeHead] = SEEN, *, cosigned_after: int = 0
) -> VerifiedTenant:
    trusted = TrustedFacts(parse_policy(POLICY), seen, cosigned_after)
    return verify_tenant(folder, trusted, progress={}, save=lambda progress: None)


def refused(folder: Path, files: dict[str, bytes], *said: str) -> None:
    result = verified(write(folder, files))
    assert result.findings
    assert any(each in result.findings[0] for each in said), result.findings


def test_the_export_of_a_tenant_is_good_and_holds_only_hashes_of_others(tmp_path: Path) -> None:
    result = verified(write(tmp_path, FILES))
    assert (result.findings, result.unseen) == ([], [])
    assert (result.life, result.entry[:12]) == (LIFE, f"{AUDIT}:4")
    numbers = {each.stream: each.events for each in result.streams}
    assert numbers == {STREAM: len(OWN), AUDIT: 0}
    everything = b"".join(FILES.values())
    for at, each in enumerate(SCENE.events[STREAM]):
        assert (each.data in everything) == (at in OWN)
    assert b"life-0" not in everything


def test_memory_is_bounded_by_parts_of_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secaplane.audit.tenant_export.writing.PART_BYTES", 2000)
    files = SCENE.files()
    assert f"{STREAM}/events/000.3" in files
    assert verified(write(tmp_path / "good", files)).findings == []
    del files[f"{STREAM}/events/000.2"]
    refused(tmp_path / "missing", files, "is missing")


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_file_that_is_gone_or_has_another_byte_is_found(tmp_path: Path, path: str) -> None:
    assert verified(
        write(tmp_path / "gone", {p: d for p, d in FILES.items() if p != path})
    ).findings
    seeded = random.Random(path)
    for number in range(6):
        data = bytearray(FILES[path])
        data[seeded.randrange(len(data))] ^= seeded.randrange(1, 256)
        assert verified(write(tmp_path / str(number), FILES | {path: bytes(data)})).findings


def with_records(records: list[TenantRecord]) -> dict[str, bytes]:
    path = f"{STREAM}/events/001"
    return FILES | {path: joined_records(records)}


def test_records_that_are_missing_inserted_or_reordered_are_named_by_number(tmp_path: Path) -> None:
    records = split_records(FILES[f"{STREAM}/events/001"])
    tenth = records[10].number
    cut = [*records[:10], *records[11:]]
    refused(tmp_path / "a", with_records(cut), f"number {tenth} is missing")
    double = [*records[:10], records[9], *records[10:]]
    refused(tmp_path / "b", with_records(double), f"number {tenth} is inserted")
    swapped = [*records[:10], records[11], records[10], *records[12:]]
    refused(tmp_path / "c", with_records(swapped), f"number {tenth} is missing")
    renumbered = [
        *records[:10],
        *(each._replace(number=each.number - 1) for each in records[11:]),
    ]
    refused(tmp_path / "d", with_records(renumbered), f"number {tenth} is changed")
    theirs = SCENE.events[STREAM][257]
    other = records[10]._replace(subject=theirs.subject, data=theirs.data)
    refused(tmp_path / "e", with_records([*records[:10], other, *records[11:]]), f"{tenth} is ins")


def test_an_end_that_was_cut_is_found_though_every_record_is_good(tmp_path: Path) -> None:
    path = f"{STREAM}/events/002"
    shorter = split_records(FILES[path])[:-1]
    last = f"number {len(OWN)} is cut"
    refused(tmp_path / "a", FILES | {path: joined_records(shorter)}, last)
    facts = parse_tenant(FILES[TENANT_PATH])
    heads = tuple(
        msgspec.structs.replace(each, number=len(OWN) - 1) if each.stream == STREAM else each
        for each in facts.heads
    )
    lied = msgspec.structs.replace(facts, heads=heads).written
    refused(tmp_path / "b", FILES | {path: joined_records(shorter), TENANT_PATH: lied}, last)


def test_another_number_of_a_head_is_found(tmp_path: Path) -> None:
    facts = parse_tenant(FILES[TENANT_PATH])
    for number in (3, len(OWN) - 1, len(OWN) + 1):
        heads = tuple(
            msgspec.structs.replace(each, number=number) if each.stream == STREAM else each
            for each in facts.heads
        )
        lied = msgspec.structs.replace(facts, heads=heads).written
        refused(tmp_path / str(number), FILES | {TENANT_PATH: lied}, "number")


def test_a_stream_that_is_left_out_as_empty_is_found(tmp_path: Path) -> None:
    """All of the tenant's events in a stream, with the claim that there were none."""
    facts = parse_tenant(FILES[TENANT_PATH])
    heads = tuple(msgspec.structs.replace(each, number=0) for each in facts.heads)
    lied = msgspec.structs.replace(facts, heads=heads).written
    files = {path: data for path, data in FILES.items() if "/events/" not in path}
    files |= {TENANT_PATH: lied, f"{AUDIT}/events/000": FILES[f"{AUDIT}/events/000"]}
    refused(tmp_path / "a", files, "number 1 is cut")
    one = tuple(each for each in facts.heads if each.stream == AUDIT)
    files = {path: data for path, data in FILES.items() if not path.startswith(f"{STREAM}/")}
    lied = msgspec.structs.replace(facts, heads=one).written
    refused(tmp_path / "b", files | {TENANT_PATH: lied}, "not of the streams")


def test_events_after_the_heads_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = TenantScene(events(700)).files()
    later = f"{STREAM}/events/002"
    refused(tmp_path / "a", FILES | {later: whole[later]}, "is inserted")
    for path in ("more", f"{STREAM}/more", f"{STREAM}/events/009", f"{STREAM}/events/000.2"):
        result = verified(write(tmp_path / path.replace("/", "_"), FILES | {path: b"x"}))
        assert any("foreign" in each for each in result.findings), path
    traversal = parse_tenant(FILES[TENANT_PATH])
    heads = (msgspec.structs.replace(traversal.heads[0], stream=".."), *traversal.heads[1:])
    lied = msgspec.structs.replace(traversal, heads=heads).written
    refused(tmp_path / "d", FILES | {TENANT_PATH: lied}, "names no streams")


def test_an_earlier_checkpoint_shows_a_fork_or_is_said_to_be_not_compared(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", FILES)
    within = [parse_checkpoint(SCENE.checkpoint(STREAM, 300)).head]
    assert verified(folder, within).unseen == []  # the tenant has events in that tile
    few = TenantScene(events(700, lives=301), covered=200)
    sparse = write(tmp_path / "b", few.files())
    seen = [parse_checkpoint(few.checkpoint(STREAM, 600 - 40)).head]
    assert verified(sparse, seen).unseen == []  # of the newest tile
    seen = [parse_checkpoint(few.checkpoint(STREAM, 400)).head]
    (unseen,) = verified(sparse, seen).unseen
    assert "export with --seen SECA:400" in unseen
    asked = write(tmp_path / "c", few.files(400))
    assert (verified(asked, seen).unseen, verified(asked, seen).findings) == ([], [])
    forked = [seen[0]._replace(root=bytes(32))]
    assert "forked" in verified(asked, forked).findings[0]
    later = [seen[0]._replace(size=900)]
    assert "rolled back" in verified(asked, later).findings[0]


def test_heads_that_are_older_than_the_verifier_accepts_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES)
    assert "too old" in verified(folder, cosigned_after=1_789_000_000).findings[0]
