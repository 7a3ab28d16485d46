"""Time stamps in a folder, and the refusal where their library is not installed."""

import sys
from pathlib import Path

import pytest

from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.timestamps.folder import (
    CHECKPOINT,
    TOKEN,
    stamp_path,
    stamped_size,
    stamped_sizes,
)
from secaplane.audit.timestamps.tokens import TimestampsNotInstalled, requested, verifying
from secaplane.cli.main import main


def test_a_path_of_a_stamp_names_its_size_in_one_form() -> None:
    for kind in (CHECKPOINT, TOKEN):
        assert stamped_size(stamp_path(0, kind)) == 0
        assert stamped_size(stamp_path(2**60, kind)) == 2**60
    for path in ("01.tsr", "-1.tsr", "1.tsr.new", "1", "x/1.tsr", "1.tsr/", "\u0661.tsr"):
        assert stamped_size(f"timestamps/{path}") is None, path
    assert stamped_size("1.tsr") is None


def test_sizes_are_in_order_and_other_files_are_none(tmp_path: Path) -> None:
    export = ExportFolder(tmp_path)
    assert [*stamped_sizes(export.names("timestamps"))] == []
    for path in (stamp_path(30, TOKEN), stamp_path(4, CHECKPOINT), stamp_path(4, TOKEN)):
        export.write(path, b"")
    export.write("timestamps/5.tsr.new", b"")
    assert [*stamped_sizes(export.names("timestamps"))] == [4, 30]


def test_without_the_library_the_refusal_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    for asked in (lambda: requested(b"x"), lambda: verifying(b"x")):
        with pytest.raises(TimestampsNotInstalled):
            asked()
    file = tmp_path / "tsa.pem"
    file.write_bytes(b"x")
    (tmp_path / "export").mkdir()
    arguments = ["audit", "verify", str(tmp_path / "export"), "--tsa-certificate", str(file)]
    monkeypatch.setattr(sys, "argv", ["secaplane", *arguments])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    assert ended.value.code == 2
    assert "secaplane[timestamps]" in capsys.readouterr().err
