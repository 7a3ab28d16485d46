"""Tessera's `fsck` judges the notary's log over HTTP: it accepts ours, and finds what we change.

Its output is read, under a time limit: it exits with 0 on damage, and can wait for ever.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from secaplane.audit.tlog.signed_notes import NoteSigner, parse_note
from tests.log.test_notary_folder import STREAM, Notary, events
from tests.oracles.go_programs import FSCK, go_program
from tests.rules.tlog_scene import SIGNER

HOST = "127.0.0.1"
FSCK_S_MAX, DAMAGED_S_MAX = 30.0, 10.0
"""Of a log that was changed, it has said everything much earlier, or waits for ever."""
GOOD = "Successfully fsck'd log"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def judged(folder: Path, *, seconds: float = FSCK_S_MAX) -> str:
    """The output of `fsck` about a log in a folder."""
    key = folder.parent / "log.key"
    key.write_text(SIGNER.public.text)
    with served(folder) as url:
        argv = [
            str(go_program(FSCK)),
            f"--storage_url={url}",
            f"--public_key={key}",
            "--ui=false",
            "--logtostderr",
        ]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
    return said.decode()


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that grew in several steps, with partial tiles on two levels."""
    go_program(FSCK)
    folder, stream = tmp_path_factory.mktemp("log"), events(1000)
    notary = Notary(folder)
    for size in (1, 100, 256, 300, 1000):
        notary.follow(stream, up_to=size)
        notary.publish(state=True)
    return folder / "public" / STREAM


@pytest.fixture
def damaged(public: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(public, tmp_path / "damaged"))


def test_fsck_accepts_the_log(public: Path) -> None:
    said = judged(public)
    assert f"{GOOD} with size 1000" in said, said


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512])
def test_fsck_accepts_a_log_of_any_size(tmp_path: Path, size: int) -> None:
    notary = Notary(tmp_path)
    notary.follow(events(size))
    notary.publish()
    said = judged(tmp_path / "public" / STREAM)
    assert f"{GOOD} with size {size}" in said, said


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def sign_by_another(folder: Path) -> None:
    path = folder / "checkpoint"
    note, other = parse_note(path.read_bytes()), NoteSigner(SIGNER.public.name, bytes(32))
    path.write_text(note._replace(signatures=(other.sign(note.text),)).written)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "an entry": lambda folder: flip(folder / "tile/entries/001", 30),
    "a hash": lambda folder: flip(folder / "tile/0/002", 100),
    "a hash above": lambda folder: flip(folder / "tile/1/000.p/3", 5),
    "the checkpoint": lambda folder: flip(folder / "checkpoint", 20),
    "the key": sign_by_another,
    "a missing bundle": lambda folder: (folder / "tile/entries/000").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_fsck_refuses_a_log_that_was_changed(damaged: Path, damage: str) -> None:
    DAMAGES[damage](damaged)
    said = judged(damaged, seconds=DAMAGED_S_MAX)
    assert GOOD not in said, said
