"""TLS to NATS, PostgreSQL, the API and the simulated cloud: real handshakes, with the certificates
and the server settings of the production layout."""

import asyncio
import gc
import os
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import nats
import pytest
from msgspec.structs import replace

from secaplane.cli.config import Config, read
from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST, OWNER
from secaplane.cli.processes.connections import connect_nats
from secaplane.cli.settings import BadConfig, NatsSettings, TlsSettings
from secaplane.edge.serving import app, health
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving
from secaplane.plugins.plugin import CloudUnavailable
from secaplane.plugins.simulated.plugin import from_settings
from secaplane.readmodel.schema.tables import READER
from tests import servers
from tests.flows import certificates
from tests.flows.simulated_site import TOKEN, authorized, running

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The client of NATS leaves a connection open whose handshake fails."""
DEPLOY = Path(__file__).parents[2] / "deploy"
REFUSED_S = 3.0
PASSWORDS = {OWNER: "owner", READER: "reader"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another authority."""
    return certificates.made(tmp_path_factory.mktemp("strangers"))


def test_the_script_keeps_the_authority_and_renews_the_rest(tmp_path: Path) -> None:
    folder = certificates.made(tmp_path / "tls")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    certificates.made(folder)
    changed = {path.name for path in folder.iterdir() if before[path.name] != path.read_bytes()}
    assert changed == set(before) - {"ca.crt", "ca.key"}
    for path in folder.glob("*.key"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Before the next test, so that what a failed handshake left open is not found in that."""
    yield
    gc.collect()


# --- NATS, with the listener of deploy/nats.conf


@pytest.fixture(scope="module")
def nats_port(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port, folder = servers._free_port(), tmp_path_factory.mktemp("nats")
    shipped = (DEPLOY / "nats.conf").read_text()
    tls = re.search(r"^tls \{.*?^\}", shipped, re.S | re.M)
    assert tls is not None
    block = tls[0].replace("/run/secrets/tls.", f"{parts}/nats.")
    users = "authorization { user: jane, password: secret }"
    (folder / "nats.conf").write_text(f'listen: "{HOST}:{port}"\n{block}\n{users}\n')
    argv = (embedded._nats_binary(), "-c", str(folder / "nats.conf"))
    server = embedded.Server("nats", argv)
    with servers._running(server, folder, signal.SIGTERM, lambda: listens(port)):
        yield port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def reaching(port: int, tls: TlsSettings) -> Config:
    return Config(nats=NatsSettings(url=f"tls://jane:secret@localhost:{port}"), tls=tls)


async def test_nats_is_reached_over_tls(parts: Path, nats_port: int) -> None:
    client = await connect_nats(reaching(nats_port, certificates.settings(parts, "command")))
    transport = client._transport
    assert transport is not None
    assert transport._io_writer.get_extra_info("ssl_object").version() == "TLSv1.3"  # type: ignore[attr-defined]
    await client.flush()
    await client.close()


async def test_nats_of_another_authority_is_refused(strangers: Path, nats_port: int) -> None:
    config = reaching(nats_port, certificates.settings(strangers, "command"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(REFUSED_S):
            await connect_nats(config)


async def test_nats_does_not_answer_without_tls(nats_port: int) -> None:
    with pytest.raises((nats.errors.Error, OSError, TimeoutError)):
        await nats.connect(
            f"nats://jane:secret@{HOST}:{nats_port}",
            allow_reconnect=False,
            connect_timeout=1,
            max_reconnect_attempts=0,
        )


async def test_a_server_without_tls_gets_no_password(parts: Path) -> None:
    """A server that claims to need no TLS must not make the client send its password."""
    received = bytearray()

    async def pretends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.0","max_payload":1048576}\r\n')
        received.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(pretends, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(REFUSED_S):
            await connect_nats(reaching(port, certificates.settings(parts, "command")))
    server.close()
    assert received
    assert b"secret" not in received


def test_the_shipped_configuration_of_nats_is_valid(parts: Path, tmp_path: Path) -> None:
    text = (DEPLOY / "nats.conf").read_text().replace("/run/secrets/tls.", f"{parts}/nats.")
    (tmp_path / "nats.conf").write_text(text.replace("/run/secrets/ca.crt", f"{parts}/ca.crt"))
    variables = {name: '"x"' for name in re.findall(r"\$(NATS_\w+_PASSWORD)", text)}
    variables |= {"NATS_NAME": "nats-1", "NATS_ROUTES": '["nats-route://route:x@nats-2:6222"]'}
    done = subprocess.run(
        [embedded._nats_binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- PostgreSQL, with the settings and the rules of the production layout


WITH_TLS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
"""PostgreSQL of the distribution: that of the wheels is built without TLS."""
needs_postgresql = pytest.mark.skipif(
    not WITH_TLS, reason="postgresql is not installed (apt-get install postgresql)"
)


@pytest.fixture(scope="module")
def postgres_port(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port, folder = servers._free_port(), tmp_path_factory.mktemp("postgres")
    settings = {
        "ssl": "on",
        "ssl_cert_file": f"{parts}/postgres.crt",
        "ssl_key_file": f"{folder}/postgres.key",
        "hba_file": f"{DEPLOY}/pg_hba.conf",
    }
    key = folder / "postgres.key"
    key.write_bytes((parts / "postgres.key").read_bytes())
    key.chmod(0o600)  # of this user, not of the container's
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "_postgres_binaries", lambda: WITH_TLS[-1])
        made = embedded.postgres(folder, port, PASSWORDS, durable=False)
    more = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = embedded.Server(made.name, (*made.argv, *more))
    with servers._running(server, folder, signal.SIGINT, lambda: listens(port)):
        yield port


async def asked(port: int, parameters: str) -> str:
    url = f"postgresql://{READER}:{PASSWORDS[READER]}@localhost:{port}/{OWNER}?{parameters}"
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=5)
            break
        except asyncpg.CannotConnectNowError:
            await asyncio.sleep(0.05)
    try:
        found: str = await connection.fetchval(
            "select version from pg_stat_ssl where pid = pg_backend_pid()"
        )
        return found
    finally:
        await connection.close()


@needs_postgresql
async def test_postgresql_is_reached_over_tls(parts: Path, postgres_port: int) -> None:
    verified = f"sslmode=verify-full&sslrootcert={parts}/ca.crt"
    assert (await asked(postgres_port, verified)).startswith("TLSv1.")


@needs_postgresql
async def test_postgresql_of_another_authority_is_refused(
    strangers: Path, postgres_port: int
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asked(postgres_port, f"sslmode=verify-full&sslrootcert={strangers}/ca.crt")


@needs_postgresql
async def test_postgresql_admits_no_connection_without_tls(postgres_port: int) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asked(postgres_port, "sslmode=disable")


# --- the ports of our own processes


@asynccontextmanager
async def api(tls: TlsSettings) -> AsyncIterator[int]:
    metrics, listening = Metrics(), listen(HOST, 0)
    application = app.build(
        health.routes(lambda: health.Readiness(True), metrics, details=False), metrics=metrics
    )
    async with serving(application, listening, tls=tls):
        yield listening.getsockname()[1]


async def test_the_api_speaks_tls_alone_where_it_has_a_certificate(
    parts: Path, strangers: Path
) -> None:
    async with api(certificates.settings(parts, "query")) as port, aiohttp.ClientSession() as web:
        url = f"https://localhost:{port}/healthz"
        async with web.get(url, ssl=certificates.trusting(parts)) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await web.get(url, ssl=certificates.trusting(strangers))
        with pytest.raises(aiohttp.ClientError):
            await web.get(url.replace("https", "http"))


async def test_the_simulated_cloud_speaks_tls_and_asks_for_its_token(
    parts: Path, strangers: Path, tmp_path: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(parts / "cloud.crt", parts / "cloud.key")
    async with running(tmp_path / "cloud.db", tls=context) as site:
        url = site.url.replace("http://127.0.0.1", "https://localhost")
        plugin = from_settings({"url": url, "token": TOKEN, "ca": f"{parts}/ca.crt"})
        assert await plugin.catalogue()
        await plugin.close()
        other = from_settings({"url": url, "token": TOKEN, "ca": f"{strangers}/ca.crt"})
        with pytest.raises(CloudUnavailable, match="ClientConnectorCertificateError"):
            await other.catalogue()
        await other.close()


@pytest.mark.parametrize("path", ["/things", "/things/u1", "/catalogue"])
async def test_the_simulated_cloud_answers_nothing_without_its_token(
    tmp_path: Path, path: str
) -> None:
    async with running(tmp_path / "cloud.db") as site, aiohttp.ClientSession() as web:
        for headers in ({}, authorized("another"), authorized(TOKEN + "x"), authorized("é")):
            for method in ("GET", "PUT", "DELETE"):
                async with web.request(method, site.url + path, headers=headers) as answer:
                    assert answer.status == 401
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
        async with web.get(site.url + path, headers=authorized(TOKEN)) as answer:
            assert answer.status in (200, 404)


async def test_drills_need_no_token_on_loopback_and_one_elsewhere(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as web:
        async with (
            running(tmp_path / "a.db") as site,
            web.put(f"{site.url}/faults", json={"delay_s": 1}) as answer,
        ):
            assert answer.status == 200
        async with (
            running(tmp_path / "b.db", host="0.0.0.0") as site,
            web.put(f"{site.url}/faults", json={"delay_s": 1}) as answer,
        ):
            assert answer.status == 401


# --- settings


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(BadConfig, match="belong together"):
        read(None, {"SECAPLANE_TLS_CERTIFICATE": "a.crt"})


async def test_a_missing_file_is_named() -> None:
    config = replace(Config(), tls=TlsSettings(ca="missing.crt"))
    with pytest.raises(BadConfig, match="tls"):
        await connect_nats(config)
