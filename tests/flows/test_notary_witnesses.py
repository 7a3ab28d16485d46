"""The notary process and its witnesses over HTTP: a quorum of two of three, one of them away."""

import asyncio
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import NoteSigner
from secaplane.audit.tlog.witness_protocol import SIZE_TYPE, AddCheckpoint, answer, parse_request
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import free_port
from tests.flows.crashing import until
from tests.flows.notarizing import ended, notary_scene
from tests.rules.tlog_scene import TIME, WITNESSES, checkpoint_of
from tests.servers import STREAM


class HttpWitness:
    """A witness of some logs on a port of its own."""

    def __init__(self, cosigner: Cosigner, logs: TlogPolicy) -> None:
        self._cosigner, self._latest = cosigner, dict[str, TreeHead]()
        self._keys = {each.public.name: [each.verifier] for each in logs.logs}

    def add(self, body: bytes) -> tuple[int, str]:
        request = parse_request(body)
        origin = request.checkpoint.head.origin
        made = answer(request, self._keys, self._latest.get(origin), [self._cosigner], time=TIME)
        if made.cosigned is not None:
            self._latest[origin] = made.cosigned
        return made.status, made.body

    @contextmanager
    def served(self) -> Iterator[str]:
        add = self.add

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = add(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None: ...

        server = ThreadingHTTPServer((HOST, 0), Answering)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def policy_lines(logs: str, urls: Sequence[str]) -> str:
    lines = [line for line in logs.splitlines() if line.startswith("log")]
    lines += [
        f"witness w{n} {each.public.text} {url}"
        for n, (each, url) in enumerate(zip(WITNESSES, urls, strict=True))
    ]
    return "\n".join([*lines, "group two 2 w0 w1 w2", "quorum two"])


async def test_every_checkpoint_is_cosigned_by_a_quorum(tmp_path: Path) -> None:
    async with notary_scene(tmp_path) as scene:
        logs = parse_policy(scene.policy)
        one, two = (HttpWitness(each, logs) for each in WITNESSES[:2])
        with one.served() as first, two.served() as second:
            away, file = f"http://{HOST}:{free_port()}", tmp_path / "policy"
            file.write_text(policy_lines(scene.policy, (first, second, away)))
            scene.more["SECAPLANE_NOTARY_POLICY"] = str(file)
            policy, path = parse_policy(file.read_text()), scene.public(STREAM) / "cosigned"

            async def cosigned() -> bool:
                if not path.exists():
                    return False
                checked = policy.verify(parse_checkpoint(path.read_bytes()))
                assert set(checked.witnesses) == {"w0", "w1"}
                return checked.head.size == scene.last.sequence

            for count in (3, 300):
                with ended(scene.start()):
                    await scene.append(count)
                    await until(cosigned, f"{count} more events are cosigned")


async def test_our_own_witness_goes_on_after_a_kill_and_refuses_a_fork(tmp_path: Path) -> None:
    async with notary_scene(tmp_path) as scene:
        logs, key, port = tmp_path / "logs", tmp_path / "key", free_port()
        logs.write_text(scene.policy)
        named = scene.secaplane("audit", "witness-key", "witness.example/one", str(key))
        policy = tmp_path / "policy"
        url = f"http://{HOST}:{port}"
        own = [line for line in scene.policy.splitlines() if line.startswith("log")]
        policy.write_text("\n".join([*own, f"{named.stdout.strip()} {url}", "quorum one"]))
        scene.more["SECAPLANE_NOTARY_POLICY"] = str(policy)
        files = ("--policy", str(logs), "--key", str(key), "--folder", str(tmp_path / "heads"))
        trusted = parse_policy(policy.read_text())

        async def cosigned() -> bool:
            path = scene.public(STREAM) / "cosigned"
            if not path.exists():
                return False
            head = trusted.verify(parse_checkpoint(path.read_bytes())).head
            return head.size == scene.last.sequence

        def started() -> subprocess.Popen[bytes]:
            return scene.spawn("audit", "witness", *files, "--port", str(port))

        with ended(scene.start()):
            for count in (5, 300):
                with ended(started()):  # killed at the end
                    await scene.append(count)
                    await until(cosigned, f"{count} more events are cosigned")
        again = scene.secaplane("audit", "witness", *files, "--port", "70000")
        assert again.returncode == 2
        (scene.folder / "notary").rename(tmp_path / "first")
        with ended(started()), ended(scene.start()):
            await scene.signed(STREAM, scene.last.sequence)  # the same tree, computed again
            await until(cosigned, "the rebuilt log is cosigned")
            second = scene.secaplane("audit", "witness", *files, "--port", "0")
            assert "another process uses" in second.stderr
            forged = NoteSigner.parse((tmp_path / "notary-keys").read_text().splitlines()[0])
            status, body, kind = await asyncio.to_thread(submit, url, forged)
            assert (status, body) == (409, f"{scene.last.sequence}\n")
            assert kind.startswith(SIZE_TYPE)
        assert key.read_text().strip().encode() not in scene.messages.read_bytes()


def submit(url: str, signer: NoteSigner) -> tuple[int, str, str]:
    """The answer to a log with another first event, signed with the right key."""
    made = checkpoint_of([b"forged"], signers=[signer], origin=signer.public.name)
    body = AddCheckpoint(0, (), made).written
    asked = urllib.request.Request(f"{url}/add-checkpoint", data=body, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=10) as answered:
            return answered.status, answered.read().decode(), ""
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(), refused.headers["Content-Type"]
