"""A time-stamping authority (RFC 3161): `openssl ts` behind a small HTTP server."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

HOST = "127.0.0.1"
_SETTINGS = """
[tsa]
default_tsa = own
[own]
serial = {place}/serial
signer_cert = {place}/tsa.pem
signer_key = {place}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_chain = yes
ess_cert_id_alg = sha256
[tsa_extensions]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[req]
distinguished_name = name
[name]
"""


class OpensslAuthority:
    """Keys and certificates of an authority, made anew."""

    def __init__(self, place: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        place.mkdir(parents=True)
        self.place, self.root, self.url = place, place / "root.pem", ""
        self.settings = place / "settings"
        self.settings.write_text(_SETTINGS.format(place=place))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        own = ("-config", str(self.settings))
        of_root = ("-keyout", f"{place}/root.key", "-out", str(self.root), "-days", "3650")
        extension = ("-addext", "basicConstraints=critical,CA:TRUE")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-x509", *own, *key, "-subj", "/CN=Root", *extension, *usage, *of_root)
        request, signed = f"{place}/tsa.csr", f"{place}/tsa.pem"
        self._openssl(
            "req", *own, *key, "-subj", "/CN=TSA", "-keyout", f"{place}/tsa.key", "-out", request
        )
        by_root = ("-CA", str(self.root), "-CAkey", f"{place}/root.key", "-CAcreateserial")
        with_usage = ("-extfile", str(self.settings), "-extensions", "tsa_extensions")
        self._openssl(
            "x509", "-req", "-in", request, *by_root, *with_usage, "-days", "3650", "-out", signed
        )

    def _openssl(self, *arguments: str) -> bytes:
        done = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def reply(self, request: bytes) -> bytes:
        """The answer to a request."""
        query, answer = self.place / "query", self.place / "answer"
        query.write_bytes(request)
        settings = ("-config", str(self.settings), "-section", "own")
        self._openssl("ts", "-reply", *settings, "-queryfile", str(query), "-out", str(answer))
        return answer.read_bytes()

    def accepts(self, token: Path, data: Path) -> bool:
        """True if `openssl ts -verify` accepts a stored answer over some bytes."""
        files = ("-in", str(token), "-data", str(data), "-CAfile", str(self.root))
        done = subprocess.run(
            ["openssl", "ts", "-verify", *files], capture_output=True, check=False
        )
        return done.returncode == 0 and b"Verification: OK" in done.stdout + done.stderr


@contextmanager
def served(authority: OpensslAuthority) -> Iterator[str]:
    """The address of the authority."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            good = self.headers["Content-Type"] == "application/timestamp-query"
            body = authority.reply(request) if good else b""
            self.send_response(200 if good else 415)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer((HOST, 0), Answering)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/tsr"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
