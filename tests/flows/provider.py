"""Issuers of tokens: a real OpenID provider in a process of its own, and one whose answers a test
scripts."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import _die_with_parent
from tests.rules.tokens import public
from tests.servers import _first_byte

READY_S_MAX, POLL_S, STOP_S_MAX = 60.0, 0.05, 10.0
ELSEWHERE = "http://127.0.0.1:1/"
"""Redirect URI for the authorization code; nothing listens there."""


@dataclass
class OpenIdProvider:
    """The package `oidc-provider-mock`, which makes a new key at each start."""

    client: str
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        argv = (sys.executable, "-m", "oidc_provider_mock", "--port", str(self.port))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            preexec_fn=_die_with_parent,
        )
        deadline = time.monotonic() + READY_S_MAX
        while _first_byte("127.0.0.1", self.port, b"GET / HTTP/1.0\r\n\r\n") != b"H":
            assert self._process.poll() is None, "the provider process ended"
            assert time.monotonic() < deadline, "the provider does not answer"
            time.sleep(POLL_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
            self._process = None

    async def token(self, sub: str) -> str:
        """An ID token, as a browser and a client would get it (authorization code flow)."""
        parameters = {
            "client_id": self.client,
            "redirect_uri": ELSEWHERE,
            "response_type": "code",
            "scope": "openid",
        }
        async with aiohttp.ClientSession() as session:
            url = f"{self.url}/oauth2/authorize"
            async with session.post(
                url, params=parameters, data={"sub": sub}, allow_redirects=False
            ) as redirect:
                location = urlsplit(redirect.headers["Location"])
            code = parse_qs(location.query)["code"][0]
            async with session.post(
                f"{self.url}/oauth2/token",
                headers={"Authorization": aiohttp.encode_basic_auth(self.client, "anything")},
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": ELSEWHERE,
                },
            ) as answer:
                token: str = (await answer.json())["id_token"]
        return token


@contextmanager
def open_id_provider(client: str) -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider(client)
    provider.start()
    try:
        yield provider
    finally:
        provider.kill()


class ScriptedProvider:
    """Answers at `/jwks` with the body, status and delay that a test sets."""

    def __init__(self) -> None:
        self.body, self.status, self.takes_s = b"", 200, 0.0
        self.requests = 0
        self._changed = threading.Event()
        provider = self

        class JwksEndpoint(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests += 1
                provider._changed.wait(provider.takes_s)
                with suppress(ConnectionError):
                    self.send_response(provider.status)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()
                    self.wfile.write(provider.body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), JwksEndpoint)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"

    def show(
        self, *, takes_s: float = 0.0, also: Mapping[str, Any] = MappingProxyType({}), **keys: Any
    ) -> None:
        rows = [public(kid, key) for kid, key in (*keys.items(), *also.items())]
        self.misbehave(json.dumps({"keys": rows}).encode(), takes_s=takes_s)

    def misbehave(self, body: bytes = b"", status: int = 200, takes_s: float = 0.0) -> None:
        """Answer like this from now on; a request that is still delayed is answered at once."""
        self.body, self.status, self.takes_s = body, status, takes_s
        self._changed.set()
        self._changed = threading.Event()

    def end(self) -> None:
        self._changed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def scripted_provider() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()
    try:
        yield provider
    finally:
        provider.end()
