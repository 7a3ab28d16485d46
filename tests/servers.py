"""Real NATS and PostgreSQL for tests: given by the environment, in containers, or from wheels.

A server is started on a free port by the first test that requests it, and ends with the last test.
"""

import ctypes
import gc
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST
from secaplane.eventlog.jetstream.connection import NatsConnection
from secaplane.eventlog.jetstream.key_bucket import bucket
from secaplane.eventlog.jetstream.log import PAYLOAD_BYTES_MIN
from secaplane.eventlog.snapshots import FORMAT
from secaplane.readmodel.schema.tables import READER

STREAM = "SECA"
GLOBAL_STREAM = f"{STREAM}-GLOBAL"
KEYS = f"KV_{bucket(STREAM)}"
SNAPSHOTS = f"KV_{STREAM}-snapshots-{FORMAT}"
READY_S_MAX = 60.0
STOP_S_MAX = 10.0
POLL_S = 0.02
NATS_IMAGE, POSTGRES_IMAGE = "nats:2.12-alpine", "postgres:18-alpine"
EVERYTHING = (">",)
POSTGRES_PROTOCOL = 3 << 16
PR_SET_PDEATHSIG = 1


@contextmanager
def nats() -> Iterator[str]:
    """The URL of a NATS server with JetStream, for a user with all permissions."""
    given = os.environ.get("SECAPLANE_TEST_NATS")
    if given:
        yield given
    elif docker_answers():
        command = ["sh", "-c", _NATS_IN_CONTAINER]
        with _container(NATS_IMAGE, 4222, command, _nats_answers) as address:
            yield f"nats://{address}"
    else:
        port, password = _free_port(), secrets.token_hex(8)
        user = embedded.NatsUser("tests", password, EVERYTHING)
        with _folder() as folder:
            server = embedded.nats(folder, port, (user,))
            with _running(server, folder, signal.SIGTERM, lambda: _nats_answers(HOST, port)):
                yield f"nats://tests:{password}@{HOST}:{port}"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server, for a user that may create databases."""
    given = os.environ.get("SECAPLANE_TEST_POSTGRES")
    if given:
        yield given
    elif docker_answers():
        password = secrets.token_hex(8)
        quick, secret = ["postgres", "-c", "fsync=off"], {"POSTGRES_PASSWORD": password}
        with _container(POSTGRES_IMAGE, 5432, quick, _postgres_answers, secret) as address:
            yield f"postgresql://postgres:{password}@{address}/postgres"
    else:
        port = _free_port()
        passwords = {user: secrets.token_hex(8) for user in (embedded.OWNER, READER)}
        with _folder() as folder:
            server = embedded.postgres(folder, port, passwords, durable=False)
            with _running(server, folder, signal.SIGINT, lambda: _postgres_answers(HOST, port)):
                owner = f"{embedded.OWNER}:{passwords[embedded.OWNER]}"
                yield f"postgresql://{owner}@{HOST}:{port}/{embedded.OWNER}"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client with the product's settings: nothing is buffered and delivered later."""
    client = NatsConnection()
    await client.connect(url, pending_size=0)
    try:
        yield client
    finally:
        await client.close()


async def emptied(client: Client) -> str:
    """Deletes the streams of earlier tests; the name of the stream."""
    context = client.jetstream()
    for name in (STREAM, GLOBAL_STREAM, SNAPSHOTS, KEYS):
        with suppress(NotFoundError):
            await context.delete_stream(name)
    return STREAM


# --- from wheels


@contextmanager
def _running(
    server: embedded.Server, folder: Path, stop_signal: int, answers: Callable[[], bool]
) -> Iterator[None]:
    """A child in a process group of its own, so that Ctrl-C reaches it only through the tests."""
    with (folder / f"{server.name}.log").open("wb") as out:
        process = subprocess.Popen(
            server.argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            process_group=0,
            preexec_fn=_die_with_parent,
        )
    try:
        _wait(lambda: process.poll() is not None or answers(), server.name)
        assert process.poll() is None, (folder / f"{server.name}.log").read_text()
        yield
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    """The child ends when the tests are killed (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="secaplane-tests-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


# --- readiness


def _nats_answers(host: str, port: int) -> bool:
    """True if it greets a new connection with INFO."""
    return _first_byte(host, port, b"") == b"I"


def _postgres_answers(host: str, port: int) -> bool:
    """True if it answers a start-up packet with R; until it accepts connections it sends E."""
    body = struct.pack("!i", POSTGRES_PROTOCOL) + b"user\0postgres\0\0"
    return _first_byte(host, port, struct.pack("!i", len(body) + 4) + body) == b"R"


def _first_byte(host: str, port: int, greeting: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=1) as probe:
            probe.sendall(greeting)
            return probe.recv(1)
    except OSError:
        return b""


def _wait(until: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while not until():
        assert time.monotonic() < deadline, f"{name} does not answer"
        time.sleep(POLL_S)


# --- in containers

_NATS_CONFIG = f"""
max_payload: {PAYLOAD_BYTES_MIN}
jetstream {{ store_dir: /data, sync_interval: always }}
"""
_NATS_IN_CONTAINER = f"echo '{_NATS_CONFIG}' > /tmp/nats.conf && exec nats-server -c /tmp/nats.conf"


@cache
def docker_answers() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _pinged()
        gc.collect()  # without a server the client leaves a socket open
        return answers


def _pinged() -> bool:
    try:
        import docker  # type: ignore[import-untyped]
        from docker.errors import DockerException  # type: ignore[import-untyped]
    except ImportError:
        return False
    try:
        with closing(docker.from_env(timeout=2)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


@contextmanager
def _container(
    image: str,
    port: int,
    command: list[str],
    answers: Callable[[str, int], bool],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    container: Any = DockerContainer(image).with_command(command).with_exposed_ports(port)
    for name, value in environment.items():
        container = container.with_env(name, value)
    with container:
        host, mapped = container.get_container_host_ip(), int(container.get_exposed_port(port))
        _wait(lambda: answers(host, mapped), image)
        yield f"{host}:{mapped}"
