"""torchwood's `litewitness` judges the notary's log: it cosigns ours, and refuses a forged fork and
a rollback. Its key is in an ssh-agent of its own. The log is entered into its database directly:
its `witnessctl` needs a module that not every proxy serves."""

import base64
import hashlib
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from secaplane.audit.merkle.hashing import EMPTY_ROOT
from secaplane.audit.merkle.proofs import prove_consistency
from secaplane.audit.notary.notary_state import NotaryIdentity
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, parse_checkpoint
from secaplane.audit.tlog.cosignatures import COSIGNATURE_ED25519, note_verifier
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.signed_notes import PublicKey
from secaplane.audit.tlog.tile_tree import TileTree
from secaplane.audit.tlog.witness_protocol import PATH, SIZE_TYPE, AddCheckpoint, cosigned
from tests.log.test_notary_folder import Notary, events
from tests.oracles.go_programs import LITEWITNESS, go_program
from tests.rules.tlog_scene import ORIGIN, SIGNER

HOST, NAME = "127.0.0.1", "witness.example/one"
READY_S_MAX = 30.0
IDENTITY = NotaryIdentity(ORIGIN, [SIGNER])


class Answer(NamedTuple):
    status: int
    body: str
    media_type: str


class RunningWitness(NamedTuple):
    """A running litewitness."""

    url: str
    public: PublicKey

    def submit(self, request: AddCheckpoint) -> Answer:
        asked = urllib.request.Request(f"{self.url}/{PATH}", data=request.written, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return Answer(answer.status, answer.read().decode(), "")
        except urllib.error.HTTPError as refused:
            with refused:
                kind = refused.headers.get("Content-Type", "")
                return Answer(refused.code, refused.read().decode(), kind)


@contextmanager
def running(argv: list[str], folder: Path, address: str | tuple[str, int]) -> Iterator[None]:
    """A process that is ended, by its id, after it has listened at an address."""
    with (folder / f"{Path(argv[0]).name}.log").open("wb") as out:
        process = subprocess.Popen(argv, cwd=folder, stdout=out, stderr=out)
    try:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        deadline = time.monotonic() + READY_S_MAX
        while True:
            with socket.socket(family) as probe:
                if probe.connect_ex(address) == 0:
                    break
            said = Path(out.name).read_text()
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def witness() -> Iterator[RunningWitness]:
    for needed in ("ssh-agent", "ssh-add"):
        if shutil.which(needed) is None:
            pytest.skip(f"litewitness needs {needed}, which is not installed")
    program = str(go_program(LITEWITNESS))
    with ExitStack() as stack:
        # the path of a socket is short
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="w-")))
        key, agent = Ed25519PrivateKey.generate(), str(folder / "agent")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_bytes(private)
        raw = key.public_key().public_bytes_raw()
        stack.enter_context(running(["ssh-agent", "-D", "-a", agent], folder, agent))
        subprocess.run(
            ["ssh-add", str(folder / "key")],
            env=os.environ | {"SSH_AUTH_SOCK": agent},
            check=True,
            capture_output=True,
        )
        database = str(folder / "witness.db")
        port = free_port()
        argv = [
            program,
            *("-db", database, "-name", NAME, "-ssh-agent", agent),
            *("-key", fingerprint(raw), "-listen", f"{HOST}:{port}"),
        ]
        stack.enter_context(running(argv, folder, (HOST, port)))
        add_log(database)
        yield RunningWitness(f"http://{HOST}:{port}", PublicKey(NAME, COSIGNATURE_ED25519, raw))


def add_log(database: str) -> None:
    """Enter the log as a new one, as `witnessctl add-log` and `add-key` do."""
    empty = base64.b64encode(EMPTY_ROOT).decode()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO log VALUES (?, 0, ?)", (ORIGIN, empty))
        connection.execute("INSERT INTO key VALUES (?, ?)", (ORIGIN, SIGNER.public.text))


def fingerprint(raw: bytes) -> str:
    kind = b"ssh-ed25519"
    blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", len(raw)) + raw
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def checkpoint(notary: Notary) -> SignedCheckpoint:
    data = notary.folder.checkpoint()
    assert data is not None
    return parse_checkpoint(data)


def request(notary: Notary, old: int) -> AddCheckpoint:
    published = checkpoint(notary)
    tree = TileTree(notary.folder.read, published.head.size)
    proof = prove_consistency(tree.subtree, old, published.head.size)
    return AddCheckpoint(old, tuple(proof), published)


def test_litewitness_cosigns_the_log_and_refuses_a_fork_and_a_rollback(
    witness: RunningWitness, tmp_path: Path
) -> None:
    stream, notary, old = events(700), Notary(tmp_path / "ours"), 0
    for size in (1, 3, 255, 256, 600):
        notary.follow(stream, up_to=size)
        notary.publish()
        answer = witness.submit(request(notary, old))
        assert answer.status == 200, answer
        old = size
    signed = checkpoint(notary)
    note = cosigned(signed.note, answer.body, [note_verifier(witness.public)])
    lines = [f"log {SIGNER.public.text}", f"witness one {witness.public.text}", "quorum one"]
    policy = parse_policy("\n".join(lines))
    assert policy.verify(signed._replace(note=note)).witnesses == ("one",)

    forked_stream = [*stream[:300], stream[0], *stream[301:]]
    forked = Notary(tmp_path / "forked", IDENTITY)
    forked.follow(forked_stream)
    forked.publish()
    assert witness.submit(request(forked, 600)).status == 422
    rolled_back = Notary(tmp_path / "rolled back", IDENTITY)
    rolled_back.follow(stream, up_to=500)
    rolled_back.publish()
    refused = witness.submit(request(rolled_back, 256))
    assert refused == Answer(409, "600\n", SIZE_TYPE)

    notary.follow(stream)
    notary.publish()
    assert witness.submit(request(notary, 600)).status == 200
