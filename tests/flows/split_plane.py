"""A control plane in production's layout: command, two queries, the other processes, and the real
proxy with the file that compose mounts.

Each process that serves the API has its own loopback address and the same port, like a container. A
name server resolves their names for the proxy, like Docker's.
"""

import asyncio
import json
import re
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import DevPlane, free_port
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.cli.settings import HttpSettings, SiteSettings
from secaplane.kinds import KINDS
from tests.flows.certificates import made, trusting

CADDY = shutil.which("caddy")
CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"
ADDRESSES = {"command": "127.0.0.2", "query-1": "127.0.0.3", "query-2": "127.0.0.4"}
NAMES = {"command": ("command",), "query": ("query-1", "query-2")}
"""Names that the proxy resolves, and their processes."""
BACKGROUND = ("cloud", "projector", "reconcilers")
READY_S_MAX, PROXY_S_MAX, POLL_S = 60.0, 20.0, 0.05
A_RECORD, INTERNET = 1, 1
ANSWER, NAME_ABOVE, TTL_S = 0x8180, 0xC00C, 1


@dataclass(frozen=True)
class SplitPlane:
    """All processes are ready, and the proxy answers."""

    dev: DevPlane
    children: Supervisor
    monitors: Mapping[str, int]
    certificates: Path

    @property
    def url(self) -> str:
        return self.dev.url

    @property
    def token(self) -> str:
        return self.dev.token(self.dev.config.dev.administrator)

    async def answers(self, name: str) -> Mapping[str, int]:
        """Number of answered requests of one process, by method."""
        text = await self._monitored(name, "/metrics")
        found: dict[str, int] = {}
        for method, count in re.findall(
            r'^secaplane_http_requests_total{method="(\w+)".*} ([0-9.]+)$', text, re.M
        ):
            found[method] = found.get(method, 0) + int(float(count))
        return found

    async def readiness(self, name: str) -> dict[str, Any]:
        """The body of a process's `/readyz`."""
        body: dict[str, Any] = json.loads(await self._monitored(name, "/readyz"))
        return body

    async def _monitored(self, name: str, path: str) -> str:
        url = f"https://{ADDRESSES[name]}:{self.monitors[name]}{path}"
        tls = trusting(self.certificates)
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=tls, server_hostname="localhost") as answer,
        ):
            return await answer.text()

    async def accepts_administrator(self, url: str) -> None:
        """Waits until the process at `url` has applied the administrator's role assignment."""
        path = KINDS["workspace"].url.format(tenant=self.dev.config.dev.tenant)
        headers = {"Authorization": f"Bearer {self.token}"}
        await _answers(f"{url}{path}", headers, trusting(self.certificates))


@asynccontextmanager
async def split() -> AsyncIterator[SplitPlane]:
    place = Path(tempfile.mkdtemp(prefix="secaplane-split-"))
    port = free_port()
    settings = Config(
        site=SiteSettings(base_url=f"http://{HOST}:{port}"), http=HttpSettings(host=HOST, port=port)
    )
    try:
        async with names_served() as resolver, Supervisor(place / "logs") as children:
            dev = DevPlane(settings, place, port, durable=False)
            tls = made(place / "tls")
            monitors = {name: free_port() for name in ADDRESSES}
            await children.start(dev.nats_server())
            await children.start(await dev.postgres_server())
            for name in BACKGROUND:
                await children.start(dev.process(name))
            upstream_port = free_port()
            for name in ADDRESSES:
                await children.start(_serving(dev, name, upstream_port, monitors[name], tls))
            async with asyncio.timeout(READY_S_MAX):
                await asyncio.gather(*(children.ready(name) for name in (*BACKGROUND, *ADDRESSES)))
            await children.start(_proxy(place, port, upstream_port, resolver, tls))
            await _answers(f"{dev.url}/healthz")
            await dev.create_tenant()
            plane = SplitPlane(dev, children, monitors, tls)
            for name in NAMES["query"]:
                await plane.accepts_administrator(f"https://{ADDRESSES[name]}:{upstream_port}")
            yield plane
    finally:
        shutil.rmtree(place, ignore_errors=True)


@asynccontextmanager
async def alone(place: Path) -> AsyncIterator[str]:
    """The proxy without a process behind it; yields its URL."""
    port = free_port()
    async with names_served() as resolver, Supervisor(place / "logs") as children:
        tls = made(place / "tls")
        await children.start(_proxy(place, port, free_port(), resolver, tls))
        async with asyncio.timeout(PROXY_S_MAX):
            while True:
                if _listens(port):
                    break
                await asyncio.sleep(POLL_S)
        yield f"http://{HOST}:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _serving(dev: DevPlane, name: str, port: int, monitor: int, tls: Path) -> ChildProcess:
    """`command` or `query` instead of `serve`; query may not append to the log."""
    side, address = name.partition("-")[0], ADDRESSES[name]
    as_one = dev.process("serve")
    argv = tuple(side if each == "serve" else each for each in as_one.argv)
    environment = as_one.environment | {
        "SECAPLANE_HTTP_HOST": address,
        "SECAPLANE_HTTP_PORT": str(port),
        "SECAPLANE_MONITOR_HOST": address,
        "SECAPLANE_MONITOR_PORT": str(monitor),
        "SECAPLANE_TLS_CERTIFICATE": str(tls / f"{side}.crt"),
        "SECAPLANE_TLS_KEY": str(tls / f"{side}.key"),
    }
    if side == "query":
        environment["SECAPLANE_NATS_URL"] = dev.nats("projector")
    return replace(as_one, name=name, argv=argv, environment=environment)


def _proxy(place: Path, port: int, upstream_port: int, resolver: str, tls: Path) -> ChildProcess:
    assert CADDY is not None
    environment = {
        "PROXY_ADDRESS": f"http://{HOST}:{port}",
        "UPSTREAM_PORT": str(upstream_port),
        "AGAIN_PORT": str(free_port()),
        "ANY_PORT": str(free_port()),
        "QUERIES": _upstreams("query", upstream_port),
        "COMMANDS": _upstreams("command", upstream_port),
        "RESOLVERS": f"resolvers {resolver}",
        "CA_FILE": str(tls / "ca.crt"),
        "XDG_DATA_HOME": str(place / "data"),
        "XDG_CONFIG_HOME": str(place / "config"),
    }
    argv = (CADDY, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile")
    return ChildProcess("proxy", argv, environment)


def _upstreams(name: str, port: int) -> str:
    return " ".join(f"{ADDRESSES[process]}:{port}" for process in NAMES[name])


async def _answers(
    url: str, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> None:
    name = "localhost" if tls else None
    async with asyncio.timeout(PROXY_S_MAX), aiohttp.ClientSession(headers=headers) as session:
        while True:
            try:
                async with session.get(url, ssl=tls or True, server_hostname=name) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_S)


# --- names


@asynccontextmanager
async def names_served() -> AsyncIterator[str]:
    """A name server (RFC 1035) for the two names; yields its address in the proxy's notation."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Names, local_addr=(HOST, 0))
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        yield f"udp/{host}:{port}"
    finally:
        transport.close()


class _Names(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._transport.sendto(answered(data), address)


def answered(question: bytes) -> bytes:
    """The answer with all addresses of the name; without any for other record types."""
    length = question[12]
    name = question[13 : 13 + length].decode()
    end = question.index(b"\0", 12) + 5
    (record_type,) = struct.unpack_from("!H", question, end - 4)
    processes: Sequence[str] = NAMES.get(name, ()) if record_type == A_RECORD else ()
    head = question[:2] + struct.pack("!HHHHH", ANSWER, 1, len(processes), 0, 0)
    record = struct.pack("!HHHIH", NAME_ABOVE, A_RECORD, INTERNET, TTL_S, 4)
    addresses = (socket.inet_aton(ADDRESSES[each]) for each in processes)
    return head + question[12:end] + b"".join(record + each for each in addresses)
