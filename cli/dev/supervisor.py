"""A supervisor of child processes: restarts those that die, and stops all of them at the end."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from secaplane.cli.config import PREFIX
from secaplane.cli.processes.announce import FD, Announcement

STOP_S_MAX = 30.0
"""More than a process takes to end in order (`[stopping]`)."""
RESTART_DELAY_S = 0.2
POLL_S = 0.05
DEATHS_MAX, DEATHS_WITHIN_S = 5, 60.0
"""A child that dies that often within that time, before it was up, is not restarted."""
UP_AFTER_S = 1.0
"""A child that announces nothing counts as up after that time."""
CONFIGURATION_ERROR = 2
"""Exit status of a child with a wrong configuration (`cli.main`): a restart does not help."""
LOG_TAIL_BYTES = 4096
PR_SET_PDEATHSIG = 1
log = logging.getLogger("secaplane.supervisor")


@dataclass(frozen=True)
class ChildProcess:
    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    announces: bool = False
    """The child writes a line when it is ready (`cli.processes.announce`)."""
    stop_signal: str = "SIGTERM"
    """The signal for a graceful stop."""
    used_by_others: bool = False
    """Other children that announce readiness need it until they have ended."""


class Supervisor:
    """Children that announce readiness are stopped before those that do not (the servers), and
    those that are used by others after these."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: list[ChildProcess] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: dict[str, asyncio.Future[Announcement]] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._announced: dict[str, bool] = {}
        self._born: dict[str, float] = {}
        self._gave_up = asyncio.Event()
        self._reason = ""

    async def __aenter__(self) -> "Supervisor":
        self._logs.mkdir(parents=True, exist_ok=True)
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await self._stop_all()
        await self._group.__aexit__(None, None, None)

    async def start(self, child: ChildProcess) -> None:
        self._started.append(child)
        self._ready[child.name] = asyncio.get_running_loop().create_future()
        self._spawn(child)
        self._watchers.append(self._group.create_task(self._watch(child)))

    async def ready(self, name: str) -> Announcement:
        return await self._ready[name]

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    async def ended(self) -> str:
        """Waits until a child cannot start or keeps dying; the reason, with its last log line."""
        await self._gave_up.wait()
        return self._reason

    async def _watch(self, child: ChildProcess) -> None:
        deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        while True:
            status = await self._died(child.name)
            if self._was_up(child):
                deaths.clear()
            deaths.append(time.monotonic())
            if status == CONFIGURATION_ERROR and not self._ready[child.name].done():
                self._give_up(f"{child.name} cannot start: {self._last_line(child)}")
                return
            if len(deaths) == DEATHS_MAX and deaths[-1] - deaths[0] < DEATHS_WITHIN_S:
                self._give_up(f"{child.name} keeps dying: {self._last_line(child)}")
                return
            print(f"secaplane: {child.name} ended with {status}; restarting it", file=sys.stderr)
            await asyncio.sleep(RESTART_DELAY_S * len(deaths))
            self._spawn(child)

    def _give_up(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._gave_up.set()

    def _last_line(self, child: ChildProcess) -> str:
        """The last line of its log, which an ephemeral folder would take with it."""
        written = (self._logs / f"{child.name}.log").read_bytes()[-LOG_TAIL_BYTES:]
        lines = written.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "no output")
        return last.removeprefix("secaplane: ")

    async def _died(self, name: str) -> int:
        process = self._processes[name]
        while True:
            status = process.poll()
            if status is not None:
                return status
            await asyncio.sleep(POLL_S)

    def _was_up(self, child: ChildProcess) -> bool:
        """True if it had started successfully: its death is not a failed start."""
        if child.announces:
            return self._announced[child.name]
        return time.monotonic() - self._born[child.name] > UP_AFTER_S

    def _spawn(self, child: ChildProcess) -> None:
        self._announced[child.name], self._born[child.name] = False, time.monotonic()
        reading, writing = os.pipe()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        environment = inherited | child.environment
        passed: tuple[int, ...] = ()
        if child.announces:
            environment[FD] = str(writing)
            passed = (writing,)
        with (self._logs / f"{child.name}.log").open("ab") as out:
            self._processes[child.name] = subprocess.Popen(
                child.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                pass_fds=passed,
                process_group=0,
                preexec_fn=_die_with_parent,
            )
        os.close(writing)
        self._listen(child, reading)

    def _listen(self, child: ChildProcess, reading: int) -> None:
        loop = asyncio.get_running_loop()

        def announced() -> None:
            line = os.read(reading, 4096)
            self._announced[child.name] = bool(line)
            loop.remove_reader(reading)
            os.close(reading)
            ready = self._ready[child.name]
            if line and not ready.done():
                ready.set_result(msgspec.json.decode(line, type=Announcement))

        loop.add_reader(reading, announced)

    async def _stop_all(self) -> None:
        """Stops the processes first, then those that they use, then the servers; those of one group
        all at once. A cancellation signals a group again: its children end at once."""
        processes = [c for c in self._started if c.announces]
        users = [c for c in processes if not c.used_by_others]
        used = [c for c in processes if c.used_by_others]
        for group in (users, used, [c for c in self._started if not c.announces]):
            try:
                await self._group_stopped(group)
            except asyncio.CancelledError:
                await self._group_stopped(group)

    async def _group_stopped(self, group: Sequence[ChildProcess]) -> None:
        for child in group:
            self._signal(child, getattr(signal, child.stop_signal))
        for child in group:
            await self._stopped(child)

    async def _stopped(self, child: ChildProcess) -> None:
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._died(child.name)
        except TimeoutError:
            self._signal(child, signal.SIGKILL)
            await self._died(child.name)

    def _signal(self, child: ChildProcess, number: int) -> None:
        process = self._processes[child.name]
        if process.poll() is None:
            process.send_signal(number)


def _die_with_parent() -> None:
    """The child ends when the supervisor is killed (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
