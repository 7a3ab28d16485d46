"""`secaplane audit receipt` and `verify-receipt`: the proof of one event, in two files."""

from pathlib import Path

import pytest

from secaplane.audit.notary.export_folder import ExportFolder, events_path, joined_events
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.tiles import ENTRIES, TileName
from secaplane.cli.main import main
from tests.bench import exported

SIZE = 600
STRANGER = Cosigner("stranger.example", bytes(32))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    exported.write(tmp_path / "export", SIZE)
    exported.write_policy(tmp_path / "policy")
    return tmp_path


def run(*arguments: object) -> int:
    return main([str(each) for each in ("audit", *arguments)])


def receipt(scene: Path, position: str) -> int:
    return run("receipt", scene / "export", position, scene / "mine")


def verify(scene: Path) -> int:
    return run("verify-receipt", scene / "mine", "--policy", scene / "policy")


@pytest.mark.parametrize("sequence", [1, 2, 101, 256, 257, 512, SIZE])
def test_a_receipt_is_verified_with_the_event_and_a_policy_alone(
    scene: Path, sequence: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receipt(scene, f"{exported.STREAM}:{sequence}") == 0
    (scene / "export").rename(scene / "elsewhere")
    capsys.readouterr()
    assert verify(scene) == 0
    said = capsys.readouterr().out
    ms = f"{sequence - 1:03}"
    assert f"{exported.STREAM}:{sequence}: 2026-01-01T12:00:00.{ms}+00:00\n" in said
    assert f"log log.example/{exported.STREAM}, {SIZE} events\n" in said
    assert said.count("witness witness") == 3


def test_a_receipt_is_small(scene: Path) -> None:
    assert receipt(scene, f"{exported.STREAM}:1") == 0
    assert (scene / "mine.tlog-proof").stat().st_size <= 2048


def test_another_event_another_receipt_or_another_key_shows_nothing(
    scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receipt(scene, f"{exported.STREAM}:7") == 0
    proof, event = scene / "mine.tlog-proof", scene / "mine.event"
    kept, own = event.read_bytes(), proof.read_bytes()
    some = ExportFolder(scene / "export" / exported.STREAM).events(0)
    for other in (
        kept[:-1] + b" ",
        joined_events([some[7]]),
        joined_events([some[6], some[7]]),
        joined_events([StoredEvent("a.b", b"{}")]),
        b"",
    ):
        event.write_bytes(other)
        assert verify(scene) == 1
        assert capsys.readouterr().err.startswith("not shown: ")
    event.write_bytes(kept)
    for changed in (
        own.replace(b"index 6", b"index 7"),
        own[:-9],
        b"",
        own.replace(b"600", b"601"),
    ):
        proof.write_bytes(changed)
        assert verify(scene) == 1
    proof.write_bytes(own)
    assert verify(scene) == 0
    lines = (scene / "policy").read_text().splitlines()
    (scene / "policy").write_text(
        "\n".join([lines[0], f"witness w {STRANGER.public.text}", "quorum w"])
    )
    assert verify(scene) == 1
    assert "quorum" in capsys.readouterr().err


@pytest.mark.parametrize("position", ["SECA:0", "SECA:601", "OTHER:1", "7", "SECA:x"])
def test_an_event_that_the_export_lacks_has_no_receipt(scene: Path, position: str) -> None:
    assert receipt(scene, position) != 0
    assert not (scene / "mine.tlog-proof").exists()


def test_a_damaged_export_gives_no_receipt(scene: Path) -> None:
    export = ExportFolder(scene / "export" / exported.STREAM)
    events = export.events(0)
    events[3] = StoredEvent("a.b", b"{}")
    export.write(events_path(0), joined_events(events))
    assert receipt(scene, f"{exported.STREAM}:4") != 0
    export.write(TileName(ENTRIES, 0).path, b"")
    (export.folder / TileName(0, 1).path).unlink()
    assert receipt(scene, f"{exported.STREAM}:300") != 0
    assert not (scene / "mine.event").exists()
