"""`secaplane audit witness` without its process: what it cosigns, and what it stores."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from secaplane.audit.merkle.proofs import prove_consistency
from secaplane.audit.notary.checkpoint_witness import CheckpointWitness, WitnessInUse
from secaplane.audit.tlog.cosignatures import Cosigner, note_verifier
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.signed_notes import NoteSigner, WrongNote
from secaplane.audit.tlog.tile_tree import TileTree
from secaplane.audit.tlog.witness_protocol import AddCheckpoint, cosigned
from secaplane.cli.main import main
from tests.rules.tlog_scene import SIGNER, WITNESSES, bytes_of, checkpoint_of

ENTRIES = [b"entry %d" % number for number in range(300)]
FORKED = [*ENTRIES[:50], b"forked", *ENTRIES[51:]]
OTHER = NoteSigner("other.example/SECA", bytes(range(32)))
LOGS = parse_policy(f"log {SIGNER.public.text}\nlog {OTHER.public.text}\nquorum none")
COSIGNER = WITNESSES[0]


def witness(folder: Path) -> CheckpointWitness:
    return CheckpointWitness(folder, LOGS, [COSIGNER])


def request(old: int, entries: Sequence[bytes], signer: NoteSigner = SIGNER) -> bytes:
    tree = TileTree(lambda name: bytes_of(name, entries), len(entries))
    proof = tuple(prove_consistency(tree.subtree, old, len(entries)))
    name = signer.public.name
    return AddCheckpoint(old, proof, checkpoint_of(entries, signers=[signer], origin=name)).written


def test_a_log_that_grows_is_cosigned_and_a_process_that_starts_again_goes_on(
    tmp_path: Path,
) -> None:
    old = 0
    for size in (1, 100, 256, 300):
        one = witness(tmp_path / "heads")
        with one.locked():
            made = one.add_checkpoint(request(old, ENTRIES[:size]))
        assert made.status == 200
        checkpoint = checkpoint_of(ENTRIES[:size])
        assert cosigned(checkpoint.note, made.body, [note_verifier(COSIGNER.public)])
        old = size


def test_a_fork_and_a_rollback_are_refused_by_a_process_that_starts_again(tmp_path: Path) -> None:
    with witness(tmp_path).locked():
        assert witness(tmp_path).add_checkpoint(request(0, ENTRIES[:100])).status == 200
    with witness(tmp_path).locked():
        again = witness(tmp_path)
        assert again.add_checkpoint(request(100, FORKED)).status == 422
        assert again.add_checkpoint(request(0, FORKED))[:2] == (409, "100\n")
        assert again.add_checkpoint(request(0, ENTRIES[:60]))[:2] == (409, "100\n")
        assert again.add_checkpoint(request(100, ENTRIES)).status == 200


def test_each_log_has_a_head_of_its_own_and_unknown_logs_are_refused(tmp_path: Path) -> None:
    with witness(tmp_path).locked():
        one = witness(tmp_path)
        assert one.add_checkpoint(request(0, ENTRIES)).status == 200
        assert one.add_checkpoint(request(0, FORKED, OTHER)).status == 200
        unknown = NoteSigner("unknown.example/SECA", bytes(32))
        assert one.add_checkpoint(request(0, ENTRIES, unknown)).status == 404
        forged = NoteSigner(SIGNER.public.name, bytes(32))
        assert one.add_checkpoint(request(300, ENTRIES, forged)).status == 403
        for body in (b"", b"old 0\n\n", b"\xff", request(0, ENTRIES)[:-1]):
            assert one.add_checkpoint(body).status == 400


def test_nothing_is_cosigned_that_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with witness(tmp_path).locked():
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                witness(tmp_path).add_checkpoint(request(0, FORKED))
        assert witness(tmp_path).add_checkpoint(request(0, ENTRIES)).status == 200


def test_a_stored_head_that_was_damaged_lets_nothing_be_cosigned(tmp_path: Path) -> None:
    with witness(tmp_path).locked():
        assert witness(tmp_path).add_checkpoint(request(0, ENTRIES)).status == 200
        (head,) = (each for each in tmp_path.iterdir() if each.name != "lock")
        head.write_text("")
        with pytest.raises(WrongNote):
            witness(tmp_path).add_checkpoint(request(0, FORKED))


def test_two_processes_cannot_use_one_folder(tmp_path: Path) -> None:
    with (
        witness(tmp_path).locked(),
        pytest.raises(WitnessInUse),
        witness(tmp_path).locked(),
    ):
        pass


def test_a_key_is_created_once_for_its_owner_alone_and_only_its_public_part_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, arguments = tmp_path / "key", ["audit", "witness-key", "witness.example.com/one"]
    assert main([*arguments, str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    made = Cosigner.parse(file.read_text().strip())
    assert made.secret_text == file.read_text().strip()
    said = capsys.readouterr()
    assert said.out == f"witness one {made.public.text}\n"
    assert main([*arguments, str(file)]) == 2
    assert made.secret_text not in "".join((*said, *capsys.readouterr()))
    assert main([*arguments[:2], "no name", str(tmp_path / "other")]) == 2
    for text in (SIGNER.secret_text, made.secret_text[:-4], "", made.public.text):
        with pytest.raises(ValueError, match=r"key|base64|id"):
            Cosigner.parse(text)
