"""`secaplane dev` as a child process of the tests: its output, its processes, its exit status."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from secaplane.cli.config import PREFIX
from secaplane.cli.dev.issuer import DevIssuer
from secaplane.cli.dev.plane import ISSUER
from secaplane.cli.dev.supervisor import _die_with_parent

READY_S_MAX = 90.0
STOP_S_MAX = 60.0
POLL_S = 0.02
TOKEN_HOURS = 1.0


class DevDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The line of JSON that `dev --json` prints: exactly the documented keys."""

    url: str
    tenant: str
    region: str
    token: str
    operator_token: str
    nats: str
    postgres: str
    pids: dict[str, int]


class Process(NamedTuple):
    """A process identified by pid and start time, since pids are reused."""

    pid: int
    began: int

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    @property
    def alive(self) -> bool:
        fields = _stat(self.pid)
        return fields is not None and fields[0] != "Z" and int(fields[19]) == self.began


@dataclass(frozen=True)
class Program:
    """The command line before `dev`, and what else it is started with."""

    argv: Sequence[str] = (sys.executable, "-P", "-m", "secaplane.cli.main")
    folder: Path | None = None
    """The current folder; default: that of the tests."""
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DevProcess:
    """A control plane that is ready."""

    supervisor: subprocess.Popen[bytes]
    line: str
    """The first line it printed."""
    folder: Path
    """Its data folder."""

    @property
    def details(self) -> DevDetails:
        return msgspec.json.decode(self.line, type=DevDetails)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def token(self, sub: str, *groups: str) -> str:
        """A token for any subject, signed by the issuer of this control plane."""
        issuer = DevIssuer.kept(self.folder / "issuer.json", self.folder / "jwks.json", ISSUER)
        return issuer.token(sub, hours=TOKEN_HOURS, **({"groups": groups} if groups else {}))

    def processes(self) -> list[Process]:
        """The supervisor and all its descendants."""
        return family(self.supervisor.pid)

    def more(self, *, until: str) -> str:
        """The output after the first line, up to the line that contains `until`."""
        assert self.supervisor.stdout is not None
        text = ""
        while until not in text:
            text += self.supervisor.stdout.readline().decode()
        return text

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Stop it; its exit status, and its output after it was ready."""
        self.supervisor.send_signal(number)
        rest, _ = self.supervisor.communicate(timeout=STOP_S_MAX)
        return self.supervisor.returncode, rest.decode()


SOURCES = Program()


@contextmanager
def dev(temporary: Path, *arguments: str, program: Program = SOURCES) -> Iterator[DevProcess]:
    """A control plane that is ready; stopped at the end unless it has ended before.

    The folder of an ephemeral one is in `temporary`.
    """
    with (temporary / "errors").open("a+") as errors:
        supervisor = launched(temporary, *arguments, stderr=errors.fileno(), program=program)
        try:
            line = _first_line(supervisor)
            assert line, f"it printed only errors: {(temporary / 'errors').read_text()}"
            yield DevProcess(supervisor, line, _folder(temporary, arguments))
        finally:
            if supervisor.poll() is None:
                supervisor.terminate()
            supervisor.communicate(timeout=STOP_S_MAX)


@contextmanager
def configured(place: Path, settings: str) -> Iterator[DevProcess]:
    """An ephemeral control plane with these settings (TOML), on a free port."""
    (place / "site.toml").write_text(settings)
    arguments = ("--ephemeral", "--port", "0", "--json", "--config", str(place / "site.toml"))
    with dev(place, *arguments) as started:
        yield started


def launched(
    temporary: Path,
    *arguments: str,
    stderr: int = subprocess.PIPE,
    program: Program = SOURCES,
) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own, so that Ctrl-C reaches it only through the tests."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return subprocess.Popen(
        (*program.argv, "dev", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=program.folder,
        env=environment | {"TMPDIR": str(temporary)} | program.variables,
        bufsize=0,
        process_group=0,
        preexec_fn=_die_with_parent,
    )


def refused(temporary: Path, *arguments: str) -> tuple[int, str, str]:
    """Run one that cannot start; its exit status, its output, and its errors."""
    supervisor = launched(temporary, *arguments)
    output, errors = supervisor.communicate(timeout=READY_S_MAX)
    return supervisor.returncode, output.decode(), errors.decode()


def left_of(processes: list[Process]) -> list[str]:
    """Command lines of the processes that still run after `STOP_S_MAX` seconds."""
    with suppress(AssertionError):
        eventually(lambda: not any(each.alive for each in processes))
    return [_command_line(each.pid) for each in processes if each.alive]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STOP_S_MAX
    while not condition():
        assert time.monotonic() < deadline, "the condition does not become true"
        time.sleep(POLL_S)


def _folder(temporary: Path, arguments: tuple[str, ...]) -> Path:
    if "--folder" in arguments:
        return Path(arguments[arguments.index("--folder") + 1])
    (ephemeral,) = temporary.glob("secaplane-*")
    return ephemeral


def _first_line(supervisor: subprocess.Popen[bytes]) -> str:
    """The first line that is not blank; empty if it ends before."""
    assert supervisor.stdout is not None
    while True:
        readable, _, _ = select.select([supervisor.stdout], [], [], READY_S_MAX)
        assert readable, "secaplane dev does not get ready"
        line = supervisor.stdout.readline().decode()
        if not line or line.strip():
            return line


# --- processes, as Linux shows them


def process(pid: int) -> Process:
    fields = _stat(pid)
    assert fields is not None, f"there is no process {pid}"
    return Process(pid, int(fields[19]))


def family(pid: int) -> list[Process]:
    """A process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields is not None:
            parents[Process(int(path.name), int(fields[19]))] = int(fields[1])
    found = [each for each in parents if each.pid == pid]
    for each in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == each.pid]
    return found


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat after the name: 0: state, 1: parent, 19: start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return f"process {pid}"
