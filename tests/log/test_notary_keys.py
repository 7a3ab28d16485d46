"""`secaplane notary keys`: files with signing keys."""

from pathlib import Path

import pytest

from secaplane.audit.tlog.signed_notes import NoteSigner
from secaplane.cli.config import Config
from secaplane.cli.operate.notary_keys import create_keys
from secaplane.cli.processes.notary import identities
from secaplane.cli.settings import BadConfig, NotarySettings


def config(file: Path, origin: str = "audit.example") -> Config:
    return Config(notary=NotarySettings(origin=origin, folder="logs", keys=str(file)))


def test_keys_are_for_their_owner_alone_and_only_public_parts_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys"
    assert create_keys(config(file), rotate=False) == 0
    said = capsys.readouterr()
    signers = [NoteSigner.parse(line) for line in file.read_text().splitlines()]
    assert said.out == "".join(f"log {each.public.text}\n" for each in signers)
    assert {each.public.name for each in signers} == {
        "audit.example/SECA",
        "audit.example/SECA-audit",
    }
    assert "PRIVATE" not in "".join(said)
    file.chmod(0o644)
    create_keys(config(file), rotate=True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [file]


def test_keys_that_exist_stay_and_rotation_adds_one_for_each_log(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    create_keys(config(file), rotate=False)
    first = file.read_text()
    create_keys(config(file), rotate=False)
    assert file.read_text() == first
    create_keys(config(file), rotate=True)
    assert file.read_text().startswith(first)
    assert [len(each.signers) for each in identities(config(file)).values()] == [2, 2]


def test_a_key_file_that_cannot_be_used_is_refused_without_naming_its_contents(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    create_keys(config(file), rotate=False)
    with pytest.raises(BadConfig, match="no key for other"):
        identities(config(file, "other.example"))
    secret = file.read_text().splitlines()[0]
    file.write_text(secret[:-6] + "\n")
    with pytest.raises(BadConfig) as raised:
        identities(config(file))
    assert secret[-30:-6] not in str(raised.value)
    with pytest.raises(BadConfig):
        create_keys(config(file), rotate=True)
    assert file.read_text() == secret[:-6] + "\n"
