"""A second replica of the read model beside a running control plane: a PostgreSQL of its own, a
projector of its own, and a query; and a streaming replica of PostgreSQL with a query."""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST, OWNER
from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.readmodel.schema.tables import READER
from tests.plane import RunningPlane

POLL_S = 0.05
ANSWERS_S_MAX = 30.0


@dataclass(frozen=True)
class SecondReplica:
    """The replica `b`."""

    plane: RunningPlane
    children: Supervisor
    owner: str
    """URL of the database for the owner of its tables."""
    reader: str
    url: str
    """Of the query."""
    monitors: dict[str, int]
    """Port of each projector's `/readyz` and `/metrics`."""

    def projector(self, name: str = "projector-b") -> ChildProcess:
        self.monitors[name] = free_port()
        more = {
            "SECAPLANE_READMODEL_REPLICA": "b",
            "SECAPLANE_POSTGRES_URL": self.owner,
            "SECAPLANE_MONITOR_PORT": str(self.monitors[name]),
        }
        process = self.plane.dev.process("projector")
        return replace(process, name=name, environment=process.environment | more)

    def database_pids(self) -> list[int]:
        """The server and its children."""
        server = self.children.pid("postgres-b")
        below = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, below)]

    def monitor(self, name: str = "projector-b") -> str:
        return f"http://{HOST}:{self.monitors[name]}"


def query(plane: RunningPlane, name: str, port: int, replica: str, postgres: str) -> ChildProcess:
    process = plane.dev.process("serve")
    more = {
        "SECAPLANE_HTTP_PORT": str(port),
        "SECAPLANE_READMODEL_REPLICA": replica,
        "SECAPLANE_POSTGRES_URL": postgres,
    }
    argv = tuple("query" if each == "serve" else each for each in process.argv)
    return replace(process, name=name, argv=argv, environment=process.environment | more)


@asynccontextmanager
async def second_replica(plane: RunningPlane) -> AsyncIterator[SecondReplica]:
    """All of it is ready, and the first replica was not touched."""
    place = Path(tempfile.mkdtemp(prefix="secaplane-replica-"))
    passwords = {user: secrets.token_hex(8) for user in (OWNER, READER)}
    postgres_port, port = free_port(), free_port()
    urls = {
        user: f"postgresql://{user}:{password}@{HOST}:{postgres_port}/{OWNER}"
        for user, password in passwords.items()
    }
    server = await asyncio.to_thread(
        embedded.postgres, place / "postgres", postgres_port, passwords, durable=False
    )
    try:
        async with Supervisor(plane.folder / "logs") as children:
            url = f"http://{HOST}:{port}"
            made = SecondReplica(plane, children, urls[OWNER], urls[READER], url, {})
            await children.start(made.projector())
            await children.start(ChildProcess("postgres-b", server.argv, stop_signal="SIGINT"))
            await children.start(query(plane, "query-b", port, "b", urls[READER]))
            await asyncio.gather(*(children.ready(each) for each in ("projector-b", "query-b")))
            yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


@asynccontextmanager
async def streaming_replica(plane: RunningPlane) -> AsyncIterator[tuple[str, str]]:
    """A streaming replica of the plane's PostgreSQL, with a query; yields the URL of its database
    for the owner, and the URL of the query."""
    place = Path(tempfile.mkdtemp(prefix="secaplane-streaming-"))
    folder, postgres_port, port = place / "data", free_port(), free_port()
    binaries = embedded._postgres_binaries()
    as_user = embedded._as_nobody() if os.geteuid() == 0 else ()
    if as_user:
        os.chown(place, embedded.NOBODY_UID, embedded.NOBODY_UID)
    copy = (f"{binaries}/pg_basebackup", "-D", str(folder), "-R", "-c", "fast", "-X", "stream")
    await asyncio.to_thread(
        subprocess.run, [*as_user, *copy, "-d", plane.dev.postgres(OWNER)], check=True
    )
    settings = {
        "listen_addresses": HOST,
        "port": str(postgres_port),
        "unix_socket_directories": "",
        "fsync": "off",
        "hot_standby_feedback": "on",
    }
    chosen = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    argv = (*as_user, f"{binaries}/postgres", "-D", str(folder), *chosen)
    try:
        async with Supervisor(plane.folder / "logs") as children:
            await children.start(ChildProcess("postgres-copy", argv, stop_signal="SIGINT"))
            reader = elsewhere(plane.dev.postgres(READER), postgres_port)
            await children.start(query(plane, "query-copy", port, "main", reader))
            await children.ready("query-copy")
            yield elsewhere(plane.dev.postgres(OWNER), postgres_port), f"http://{HOST}:{port}"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def elsewhere(url: str, port: int) -> str:
    """The same address at another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{HOST}:{port}"))
