"""`examples/verify_export.py`, which shares no code with us, agrees with `audit verify`."""

import ast
import contextlib
import importlib.util
import io
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.notary.leaves import CommitmentChain, facts_of
from secaplane.audit.tenant_export.folder import TENANT_PATH
from secaplane.audit.tlog.cosignatures import COSIGNATURE_ML_DSA_44, Cosigner, cosigned_message
from secaplane.audit.tlog.signed_notes import NoteSignature, PublicKey, SignedNote, parse_note, sign
from secaplane.cli.operate.history_verify import verify
from tests.bench import exported
from tests.bench.exported_heads import audit_events, write_audit, wrong_root
from tests.bench.tamper_figures import TamperScene
from tests.bench.tenant_tamper import TenantTamperScene
from tests.rules.tenant_scene import POLICY, TenantScene, events, write
from tests.rules.tlog_scene import SIGNER, TIME

PROGRAM = Path(__file__).parents[2] / "examples" / "verify_export.py"
OF_TENANT = PROGRAM.with_name("verify_tenant_export.py")
MUTATIONS = 150
EVENT = next(iter(exported.events(1))).data
PIECES = [
    *(bytes([each]) for each in b'{}[]",:\\u019eE+-.ntZz= /\x00\x80\xc3\xff'),
    *(rb"\ud800", rb"\u0000", b"1e999", b"-0", b"01", b"NaN", b"null", b"[" * 30, b"\xef\xbb\xbf"),
    *(b'"tenant":"x",', b'"time":"2026-01-01T12:00:00Z",', b'"salt":"",', b"60", b"+23:59"),
    *(b"-00:00", b"+24:00", b".1234567890", b"2026-02-30", b"9999-12-31", b"9" * 20),
]


def loaded(program: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(program.stem, program)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[program.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SECOND, SECOND_OF_TENANT = loaded(PROGRAM), loaded(OF_TENANT)


@pytest.mark.parametrize("program", [PROGRAM, OF_TENANT], ids=lambda program: program.stem)
def test_it_is_short_and_needs_the_standard_library_and_cryptography_alone(program: Path) -> None:
    text = program.read_text()
    assert len(text.splitlines()) <= 300
    nodes = ast.walk(ast.parse(text))
    imported = {
        name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [node.names[0].name]
        )
    }
    assert imported - sys.stdlib_module_names - {PROGRAM.stem} <= {"cryptography"}


def second(folder: Path, *arguments: str, program: ModuleType = SECOND) -> tuple[int, str]:
    """Exit status and findings of the second verifier."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["verify_export.py", str(folder), *arguments])
        with contextlib.redirect_stdout(io.StringIO()):
            return program.main(), said.getvalue()


def first(folder: Path, policy: Path | None, *seen: Path) -> tuple[int, str]:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        with contextlib.redirect_stdout(io.StringIO()):
            status = verify(folder, policy=policy, seen=seen, max_age_s=None, resume=None)
        return status, said.getvalue()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700])
def test_both_accept_an_export_and_say_what_cannot_be_seen(tmp_path: Path, size: int) -> None:
    folder, policy = tmp_path / "export", exported.write_policy(tmp_path / "policy")
    exported.write(folder, size)
    seen = Path(shutil.copy(folder / exported.STREAM / "checkpoint", tmp_path / "seen"))
    assert first(folder, policy, seen)[0] == 0
    assert second(folder, "--policy", str(policy), "--seen", str(seen))[0] == 0
    assert first(folder, policy)[0] == second(folder, "--policy", str(policy))[0] == 3
    assert first(folder, None)[0] == second(folder)[0] == 3


def test_both_compare_the_entries_about_heads(tmp_path: Path) -> None:
    """A wrong root, and a log that was cut before the events that heads are about; both signed."""
    policy = exported.write_policy(tmp_path / "policy", audit=True)
    log = [*exported.events(300)]
    for name, size, wrong, found in (
        ("good", 300, None, None),
        ("root", 300, 1, f"{exported.STREAM}-audit:6 is wrong"),
        ("cut", 290, None, f"{exported.STREAM}:291 is cut"),
    ):
        folder = tmp_path / name
        exported.write(folder, size)
        told = lambda n, facts, wrong=wrong: wrong_root(facts) if n == wrong else facts  # noqa: E731
        write_audit(folder, audit_events(log, (0, 257, 300), told))
        one, said = first(folder, policy)
        other, says = second(folder, "--policy", str(policy))
        assert one == other == (1 if found else 3), name
        assert not found or (found in said and found in says), name


def test_both_verify_a_witness_with_ml_dsa_44(tmp_path: Path) -> None:
    folder, policy = tmp_path / "export", tmp_path / "policy"
    head = exported.write(folder, 300)
    key = MLDSA44PrivateKey.generate()
    name, algorithm = "large.example", COSIGNATURE_ML_DSA_44
    public = PublicKey(name, algorithm, key.public_key().public_bytes_raw())
    stamp = TIME.to_bytes(8, "big") + key.sign(cosigned_message(name, head, TIME))
    own = sign(head.text, [SIGNER]).signatures
    for signature, status in ((stamp, 3), (stamp[:-1] + bytes([stamp[-1] ^ 1]), 1)):
        line = NoteSignature(name, public.key_id, signature)
        note = SignedNote(head.text, (*own, line)).written.encode()
        (folder / exported.STREAM / "checkpoint").write_bytes(note)
        policy.write_text(f"log {SIGNER.public.text}\nwitness w {public.text}\nquorum w\n")
        assert first(folder, policy)[0] == status
        assert second(folder, "--policy", str(policy))[0] == status


def test_it_runs_on_its_own(tmp_path: Path) -> None:
    exported.write(tmp_path / "export", 300)
    policy = exported.write_policy(tmp_path / "policy")
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), str(tmp_path / "export"), "--policy", str(policy)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, f"{exported.STREAM}: 300 events compared\n")


def test_both_find_random_changes_at_the_same_event(tmp_path: Path) -> None:
    scene = TamperScene(tmp_path, random.Random(11))
    sorts = scene.sorts()
    trusted = ("--policy", str(scene.policy), "--seen", str(scene.seen))
    for _ in range(MUTATIONS):
        mutation = next(sorts)()
        with scene.changed_by(mutation):
            one, said = first(scene.folder, scene.policy, scene.seen)
            other, says = second(scene.folder, *trusted)
        assert one == other == 1, (mutation.first, said, says)
        positions = [
            re.search(rf"{exported.STREAM}(?:-audit)?:(\d+) ", each) for each in (said, says)
        ]
        if all(positions) and len(mutation.first) == 1:
            assert [int(each[1]) for each in positions if each] == [*mutation.first] * 2


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(PIECES)), max_size=3))
def test_both_read_the_same_of_any_stored_bytes(edits: list[tuple[float, int, bytes]]) -> None:
    data = EVENT
    for where, removed, piece in edits:
        at = round(where * len(data))
        data = data[:at] + piece + data[at + removed :]
    assert SECOND.facts(data) == facts_of(data)
    leaf = CommitmentChain("S").commit(1, "a.b", data).leaf.written
    assert SECOND.Leaves("S").next(1, (b"a.b", data)) == leaf


def test_both_find_random_changes_of_the_export_of_a_tenant(tmp_path: Path) -> None:
    scene = TenantTamperScene(tmp_path, random.Random(11))
    sorts = scene.sorts()
    trusted = ("--policy", str(scene.policy), "--seen", str(scene.seen))
    for _ in range(MUTATIONS):
        mutation = next(sorts)()
        scene.place(mutation.files)
        one, said = first(scene.folder, scene.policy, scene.seen)
        other, says = second(scene.folder, *trusted, program=SECOND_OF_TENANT)
        assert one == other == 1, (mutation.first, said, says)
        numbers = [re.search(r"number (\d+) is", each) for each in (said, says)]
        if all(numbers) and mutation.first is not None and len(mutation.first) == 1:
            assert [int(each[1]) for each in numbers if each] == [*mutation.first] * 2


@pytest.mark.parametrize("path", ["SECA/checkpoint", TENANT_PATH])
def test_both_find_each_changed_byte(tmp_path: Path, path: str) -> None:
    """A quorum of two is left where the line of one witness is damaged; it is found all the same,
    whether its name, its key id, its time or its signature was changed."""
    scene, made = TenantTamperScene(tmp_path, random.Random(12)), TenantScene(events(300)).files()
    trusted = ("--policy", str(scene.policy))
    for at in range(len(made[path])):
        changed = bytearray(made[path])
        changed[at] ^= 1 << at % 6
        scene.place(made | {path: bytes(changed)})
        one, said = first(scene.folder, scene.policy)
        other, says = second(scene.folder, *trusted, program=SECOND_OF_TENANT)
        assert one == other == 1, (at, bytes(changed), said, says)


def test_both_ignore_lines_of_keys_that_the_policy_does_not_name(tmp_path: Path) -> None:
    """Of a stranger, and of a trusted witness that has another key by now."""
    scene, made = TenantTamperScene(tmp_path, random.Random(12)), TenantScene(events(300)).files()
    note = parse_note(made["SECA/checkpoint"])
    for name in ("stranger.example", note.signatures[-1].name):
        line = Cosigner(name, bytes(31) + b"7").cosign(note.text, TIME)
        signed = note._replace(signatures=(*note.signatures, line)).written
        scene.place(made | {"SECA/checkpoint": signed.encode()})
        assert first(scene.folder, scene.policy)[0] == 3
        trusted = ("--policy", str(scene.policy))
        assert second(scene.folder, *trusted, program=SECOND_OF_TENANT)[0] == 3


@pytest.mark.parametrize("covered", [0, 2, 255, 256, 257, 512, 700])
def test_both_accept_the_export_of_a_tenant(tmp_path: Path, covered: int) -> None:
    made = TenantScene(events(700), covered=covered)
    folder = write(tmp_path / "export", made.files())
    policy, seen = tmp_path / "policy", [tmp_path / "seen", tmp_path / "seen-audit"]
    policy.write_text(POLICY)
    seen[0].write_bytes(made.checkpoint("SECA", 512))
    seen[1].write_bytes(made.checkpoint("SECA-audit", 2))
    arguments = ("--policy", str(policy), "--seen", str(seen[0]), "--seen", str(seen[1]))
    assert first(folder, policy, *seen) == (0, "")
    assert second(folder, *arguments, program=SECOND_OF_TENANT) == (0, "")
    assert first(folder, policy)[0] == 3
    assert second(folder, *arguments[:2], program=SECOND_OF_TENANT)[0] == 3
    assert first(folder, None)[0] == second(folder, program=SECOND_OF_TENANT)[0] == 3


def test_every_sort_of_change_of_the_export_of_a_tenant_is_found_with_its_number(
    tmp_path: Path,
) -> None:
    scene = TenantTamperScene(tmp_path, random.Random(5))
    sorts = scene.sorts()
    for _ in range(MUTATIONS):
        sort = next(sorts)
        assert scene.is_found(sort()), sort
