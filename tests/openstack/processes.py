"""Processes of a cloud: started in sessions of their own, recorded, waited for, ended by record.

A record holds the process id with the time of its start, so that no other process which was given
the same id later is ended in its place.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.openstack.layout import Cloud, Failed

COMMAND_S_MAX = 600.0
TERMINATED_S_MAX, KILLED_S_MAX = 20.0, 10.0
POLL_S = 0.2
TAIL_LINES = 25
MARK = "SECAPLANE_OPENSTACK_FOLDER"
"""Variable that every process of a cloud inherits; tells what is left after the stop."""
INFRASTRUCTURE = ("mariadb", "epmd", "rabbitmq")
"""These are stopped last, because the services wait for them when they end."""
Argv = Sequence[str | Path]

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class Record:
    """A started process: the leader of its session."""

    name: str
    id: int
    started: str
    boot: str


@dataclass(frozen=True)
class _Stat:
    """A line of `/proc/ID/stat`, in part."""

    state: str
    session: int
    started: str


def environment(cloud: Cloud) -> dict[str, str]:
    """Leaves out what a shell sets for clients of another cloud, and proxies."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = f"{cloud.programs}:{cloud.venv}/bin:{kept['PATH']}:/usr/sbin:/sbin"
    home = cloud.var / "home"
    home.mkdir(exist_ok=True)
    return kept | {
        "PATH": path,
        "HOME": str(home),
        "PYTHONWARNINGS": "ignore",
        MARK: str(cloud.folder),
    }


def start(
    cloud: Cloud,
    name: str,
    argv: Argv,
    env: Mapping[str, str] | None = None,
    stdin: int | Path = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Starts a process whose output is appended to a log of its name."""
    with log_of(cloud, name).open("ab") as out:
        process = subprocess.Popen(
            [*map(str, argv)],
            env=environment(cloud) | dict(env or {}),
            cwd=cloud.var,
            stdin=subprocess.DEVNULL if isinstance(stdin, int) else stdin.open("rb"),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    stat = _stat(process.pid)
    record = Record(name, process.pid, stat.started if stat else "", _boot())
    (cloud.run / f"{name}.json").write_text(json.dumps(asdict(record)))
    return process


def run(
    cloud: Cloud,
    name: str,
    argv: Argv,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
) -> None:
    """Runs a command to its end, recorded like a process, so that a stop ends it too.

    Raises:
        Failed: it ends with another status than 0, or not in time.
    """
    process = start(cloud, name, argv, env, stdin or subprocess.DEVNULL)
    try:
        status = process.wait(COMMAND_S_MAX)
    except subprocess.TimeoutExpired as error:
        raise failed(cloud, name, f"did not end within {COMMAND_S_MAX:.0f} s") from error
    if status:
        raise failed(cloud, name, f"ended with status {status}")
    (cloud.run / f"{name}.json").unlink(missing_ok=True)


def wait_until(
    cloud: Cloud,
    name: str,
    process: "subprocess.Popen[bytes]",
    answers: Callable[[], bool],
    seconds: float,
) -> None:
    """Waits until a process answers.

    Raises:
        Failed: it ends, or does not answer in time. Shows the end of its log.
    """
    end = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise failed(cloud, name, f"ended with status {process.returncode}")
        if time.monotonic() > end:
            raise failed(cloud, name, f"does not answer after {seconds:.0f} s")
        time.sleep(POLL_S)


def log_of(cloud: Cloud, name: str) -> Path:
    return cloud.log / f"{name}.log"


def failed(cloud: Cloud, name: str, text: str) -> Failed:
    """The failure of a process, with the end of its log."""
    path = log_of(cloud, name)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return Failed("\n".join([f"{name} {text}; the end of {path}:", *lines[-TAIL_LINES:]]))


# --- records


def records(cloud: Cloud) -> list[Record]:
    read = (json.loads(path.read_text()) for path in sorted(cloud.run.glob("*.json")))
    return [Record(**each) for each in read]


def runs(record: Record) -> bool:
    """True as long as the process itself runs, not only children of it."""
    stat = _stat(record.id)
    return stat is not None and stat.state != "Z" and _is_of(record, stat)


def members(record: Record) -> list[int]:
    """The process and its descendants, except those that left its session."""
    stat = _stat(record.id)
    if record.boot != _boot() or (stat is not None and not _is_of(record, stat)):
        return []  # the id is another process's now, so none of the session is left
    return [
        id
        for id, each in _all_stats()
        if each.session == record.id and each.state not in ("Z", "X")
    ]


def stop(cloud: Cloud) -> list[int]:
    """Ends all recorded processes. The ids of processes of this cloud that run nevertheless."""
    all_records = records(cloud)
    _end([each for each in all_records if each.name not in INFRASTRUCTURE])
    _end([each for each in all_records if each.name in INFRASTRUCTURE])
    end = time.monotonic() + KILLED_S_MAX
    while (remaining := left(cloud)) and time.monotonic() < end:
        time.sleep(POLL_S)
    return remaining


def left(cloud: Cloud) -> list[int]:
    """Processes that inherited the mark of this cloud."""
    mark = f"{MARK}={cloud.folder}".encode()
    found = []
    for id, stat in _all_stats():
        with suppress(OSError):
            variables = Path(f"/proc/{id}/environ").read_bytes().split(b"\0")
            if mark in variables and stat.state != "Z" and id != os.getpid():
                found.append(id)
    return found


def resident_mib(record: Record) -> int:
    """Memory of the process and its descendants; shared pages count once for each."""
    pages = 0
    for id in members(record):
        with suppress(OSError):
            pages += int(Path(f"/proc/{id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def _end(ending: Sequence[Record]) -> None:
    for number, seconds in ((signal.SIGTERM, TERMINATED_S_MAX), (signal.SIGKILL, KILLED_S_MAX)):
        for record in ending:
            for id in members(record):
                with suppress(ProcessLookupError):
                    os.kill(id, number)
        end = time.monotonic() + seconds
        while any(map(members, ending)) and time.monotonic() < end:
            time.sleep(POLL_S)


def _is_of(record: Record, stat: _Stat) -> bool:
    return stat.started == record.started and record.boot == _boot()


def _all_stats() -> Iterator[tuple[int, _Stat]]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and (stat := _stat(int(path.name))) is not None:
            yield int(path.name), stat


def _stat(id: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{id}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may contain spaces
    return _Stat(state=fields[0], session=int(fields[3]), started=fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
