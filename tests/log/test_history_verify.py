"""`secaplane audit verify` on exports: good ones, wrong ones, and what cannot be seen."""

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.notary.export_folder import (
    ExportFolder,
    bundles,
    events_path,
    export_paths,
    joined_events,
    split_events,
)
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.signed_notes import NoteSigner
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, TilesDiffer, tiles_of
from secaplane.cli.operate.history_verify import verify
from secaplane.cli.settings import BadConfig
from tests.log.test_notary_folder import STREAM
from tests.rules.test_leaves import SUBJECT, stored
from tests.rules.test_verification import EVENTS, LEAVES
from tests.rules.tlog_scene import ORIGIN, SIGNER, TIME, WITNESSES, bytes_of, checkpoint_of

SIZE = 300
SUMMARY = f"{STREAM}: {SIZE} events compared"


def write_export(
    folder: Path, size: int = SIZE, *, signers: tuple[NoteSigner, ...] = (SIGNER,)
) -> Path:
    """The export of one stream, with a checkpoint that two witnesses have cosigned."""
    export, leaves = ExportFolder(folder / STREAM), LEAVES[:size]
    signed = checkpoint_of(leaves, signers=signers, witnesses=WITNESSES[:2])
    export.write(CHECKPOINT_PATH, signed.note.written.encode())
    for name in tiles_of(size):
        export.write(name.path, bytes_of(name, leaves))
    for number in range(bundles(size)):
        part = EVENTS[number * 256 : min(size, (number + 1) * 256)]
        export.write(events_path(number), joined_events(part))
    return folder


class Verifier:
    """The files of an auditor, outside of any export."""

    def __init__(self, folder: Path) -> None:
        lines = [
            f"log {SIGNER.public.text}",
            *(f"witness w{n} {each.public.text}" for n, each in enumerate(WITNESSES)),
            "group two 2 w0 w1 w2",
            "quorum two",
        ]
        self.policy = folder / "policy"
        self.policy.write_text("\n".join(lines))
        self.resume = folder / "progress"

    def seen(self, size: int, leaves: list[bytes] = LEAVES) -> Path:
        file = self.policy.with_name(f"seen-{size}")
        file.write_text(checkpoint_of(leaves[:size]).note.written)
        return file

    def verify(
        self, folder: Path, *seen: Path, policy: bool = True, max_age_s: int | None = None
    ) -> int:
        return verify(
            folder,
            policy=self.policy if policy else None,
            seen=seen,
            max_age_s=max_age_s,
            resume=None,
        )


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    return Verifier(tmp_path)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


def test_a_good_export_with_a_policy_and_an_earlier_checkpoint_is_good(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verifier.verify(export, verifier.seen(100)) == 0
    assert capsys.readouterr() == (f"{SUMMARY}\n", "")
    stream = export / STREAM
    files = {each.relative_to(stream).as_posix() for each in stream.rglob("*") if each.is_file()}
    assert files == set(export_paths(SIZE))


def test_without_trust_from_outside_the_attacks_are_named_and_the_status_is_3(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verifier.verify(export) == 3
    assert f"not seen: without an earlier checkpoint of {ORIGIN}" in capsys.readouterr().out
    assert verifier.verify(export, policy=False) == 3
    assert "not seen: without a policy" in capsys.readouterr().out
    assert verifier.verify(export, verifier.seen(SIZE), policy=False) == 3


def test_keys_in_the_export_are_never_used(tmp_path: Path, verifier: Verifier) -> None:
    forged = write_export(tmp_path / "forged", signers=(NoteSigner(ORIGIN, bytes(32)),))
    assert verifier.verify(forged, verifier.seen(100)) == 1
    (forged / "policy").write_text(f"log {NoteSigner(ORIGIN, bytes(32)).public.text}\nquorum none")
    assert verifier.verify(forged, verifier.seen(100)) == 1


def test_a_rollback_and_a_fork_are_found_by_an_earlier_checkpoint(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verifier.verify(export, verifier.seen(301)) == 1
    assert "SECA:301 is rolled back" in capsys.readouterr().err
    assert verifier.verify(export, verifier.seen(200, LEAVES[:199] + LEAVES[:1])) == 1
    assert "SECA:200 is forked" in capsys.readouterr().err


def test_an_old_export_is_refused_where_the_verifier_says_how_old_it_may_be(
    export: Path, verifier: Verifier
) -> None:
    age = int(time.time()) - TIME
    assert verifier.verify(export, verifier.seen(9), max_age_s=age + 1000) == 0
    assert verifier.verify(export, verifier.seen(9), max_age_s=age - 1000) == 1


def test_a_log_that_the_policy_names_and_the_export_lacks_is_missing(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    other = NoteSigner("log.example/SECA-audit", bytes(range(32)))
    verifier.policy.write_text(f"log {other.public.text}\n{verifier.policy.read_text()}")
    assert verifier.verify(export, verifier.seen(9)) == 1
    assert "log.example/SECA-audit is missing" in capsys.readouterr().err
    assert verifier.verify(export.parent / "nothing", verifier.seen(9)) == 1


@pytest.mark.parametrize(
    "path", ["SECA/more", "SECA/tile/0/001", "SECA/events/002", "SECA/tile/0/000.p/3", "note"]
)
def test_a_file_that_the_tree_does_not_cover_is_foreign(
    export: Path, verifier: Verifier, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / path).parent.mkdir(parents=True, exist_ok=True)
    (export / path).write_bytes(b"x")
    assert verifier.verify(export, verifier.seen(9)) == 1
    assert "is foreign" in capsys.readouterr().err


def test_a_link_is_foreign(export: Path, verifier: Verifier, tmp_path: Path) -> None:
    target = shutil.move(export / STREAM / "events/000", tmp_path / "elsewhere")
    (export / STREAM / "events/000").symlink_to(target)
    assert verifier.verify(export, verifier.seen(9)) == 1


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/entries/000", "events/000"])
def test_a_pipe_in_place_of_a_file_keeps_no_verifier_waiting(
    export: Path, verifier: Verifier, path: str
) -> None:
    (export / STREAM / path).unlink()
    os.mkfifo(export / STREAM / path)
    assert verifier.verify(export, verifier.seen(9)) == 1


def test_names_in_an_export_write_no_control_characters_to_a_terminal(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / STREAM / "\x1b[2J\ngood").touch()
    (export / "\rgood").mkdir()
    assert verifier.verify(export, verifier.seen(9)) == 1
    said = "".join(capsys.readouterr())
    assert "\\x1b[2J\\ngood is foreign" in said
    assert all(each.isprintable() for each in said.replace("\n", ""))


def test_very_many_foreign_files_are_not_all_named(
    export: Path, verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(100):
        (export / STREAM / f"{number}").touch()
    assert verifier.verify(export, verifier.seen(9)) == 1
    said = capsys.readouterr().err
    assert "more files are foreign" in said
    assert len(said.splitlines()) < 30


def test_trust_that_is_in_the_export_or_cannot_be_checked_is_refused(
    export: Path, verifier: Verifier, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig, match="trust comes from outside"):
        verifier.verify(export, export / STREAM / CHECKPOINT_PATH)
    (tmp_path / "link").symlink_to(export)
    with pytest.raises(BadConfig, match="trust comes from outside"):
        verifier.verify(export, tmp_path / "link" / STREAM / CHECKPOINT_PATH)
    with pytest.raises(BadConfig, match="--max-age needs --policy"):
        verifier.verify(export, policy=False, max_age_s=9)


def test_an_interrupted_verification_goes_on_where_it_ended(
    export: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secaplane.audit.whole_export.verifying.SAVED_BUNDLES", 1)

    def again() -> int:
        seen = [verifier.seen(9)]
        return verify(
            export, policy=verifier.policy, seen=seen, max_age_s=None, resume=verifier.resume
        )

    end = export / STREAM / events_path(1)
    data = end.read_bytes()
    end.unlink()
    assert again() == 1
    before = verifier.resume.read_bytes()
    assert b'"bundles":1' in before
    end.write_bytes(data)
    (export / STREAM / events_path(0)).write_bytes(b"")  # compared already
    assert again() == 0
    verifier.resume.unlink()
    assert again() == 1


def test_events_in_a_file_are_read_back_and_a_cut_file_is_refused() -> None:
    some = [StoredEvent("a.b", b"{}"), None, StoredEvent("c", b"")]
    data = joined_events(some)
    assert split_events(data) == some
    for end in range(1, len(data)):
        if end not in (13, 21):
            with pytest.raises(TilesDiffer):
                split_events(data[:end])
    with pytest.raises(TilesDiffer):
        split_events(joined_events([]) + b"\0\0\0\1\xff\0\0\0\0")


# --- mutations


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 + at % 255
    path.write_bytes(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(sorted(export_paths(SIZE))))
def test_any_changed_byte_of_any_file_is_found(
    tmp_path_factory: pytest.TempPathFactory, at: int, path: str
) -> None:
    folder, auditor = SHARED.prepared(tmp_path_factory)
    file = folder / STREAM / path
    before = file.read_bytes()
    try:
        flip(file, at)
        assert auditor.verify(folder, auditor.seen(100)) == 1
    finally:
        file.write_bytes(before)


class _Shared:
    """One export for all mutations: each puts back what it has changed."""

    def __init__(self) -> None:
        self._made: tuple[Path, Verifier] | None = None

    def prepared(self, factory: pytest.TempPathFactory) -> tuple[Path, Verifier]:
        if self._made is None:
            place = factory.mktemp("mutations")
            self._made = write_export(place / "export"), Verifier(place)
        return self._made


SHARED = _Shared()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, SIZE - 2),
    st.sampled_from(["removed", "doubled", "swapped", "replaced", "inserted", "cut"]),
)
def test_any_change_of_the_events_is_found_at_its_first_position(
    tmp_path_factory: pytest.TempPathFactory, at: int, how: str
) -> None:
    folder, auditor = SHARED.prepared(tmp_path_factory)
    some: list[StoredEvent | None] = list(EVENTS[:SIZE])
    match how:
        case "removed":
            del some[at]
        case "doubled":
            some.insert(at + 1, some[at])
        case "swapped":
            some[at], some[at + 1] = some[at + 1], some[at]
        case "replaced":
            some[at] = EVENTS[SIZE + 1]
        case "inserted":
            some.insert(at, StoredEvent(SUBJECT, stored("life-0", 9999)))
        case _:
            del some[at:]
    first = at + 2 if how == "doubled" else at + 1
    files = [folder / STREAM / events_path(number) for number in range(2)]
    before = [file.read_bytes() for file in files]
    try:
        files[0].write_bytes(joined_events(some[:256]))
        files[1].write_bytes(joined_events(some[256:]))
        with pytest.MonkeyPatch.context() as patch:
            said = list[str]()
            patch.setattr("builtins.print", lambda text, **_: said.append(text))
            assert auditor.verify(folder, auditor.seen(100)) == 1
        assert any(f"SECA:{first} is " in each for each in said), said
    finally:
        for file, data in zip(files, before, strict=True):
            file.write_bytes(data)
