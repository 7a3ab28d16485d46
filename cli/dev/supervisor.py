"""Processes that this process started: kept running, and all of them stopped in the end."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from secaplane.cli.config import PREFIX
from secaplane.cli.processes.announce import FD, Announcement

STOP_S_MAX = 8.0
RESTART_DELAY_S = 0.2
POLL_S = 0.05
DEATHS_MAX, DEATHS_WITHIN_S = 5, 60.0
"""A child that dies more often before it is up is not started again."""
UP_AFTER_S = 1.0
"""When a child that announces nothing counts as up."""
CONFIGURATION_ERROR = 2
"""How a child ends that has found what it was given wrong (`cli.main`): another start is no use."""
WORDS_BYTES_MAX = 4096
PR_SET_PDEATHSIG = 1
log = logging.getLogger("secaplane.children")


@dataclass(frozen=True)
class ChildProcess:
    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    announces: bool = False
    """It writes a line when it is ready (`cli.announce`)."""
    in_order: str = "SIGTERM"
    """The signal that lets it stop in order."""


class Supervisor:
    """Started in an order, stopped in the opposite one; a child that dies is started again."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: list[ChildProcess] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: dict[str, asyncio.Future[Announcement]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._announced: dict[str, bool] = {}
        self._born: dict[str, float] = {}
        self._gave_up = asyncio.Event()
        self._why = ""

    async def __aenter__(self) -> "Supervisor":
        self._logs.mkdir(parents=True, exist_ok=True)
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await self._stop_all()
        await self._group.__aexit__(None, None, None)

    async def start(self, child: ChildProcess) -> None:
        self._started.append(child)
        self._ready[child.name] = asyncio.get_running_loop().create_future()
        self._spawn(child)
        self._keepers.append(self._group.create_task(self._keep(child)))

    async def ready(self, name: str) -> Announcement:
        return await self._ready[name]

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    async def ended(self) -> str:
        """Returns when a child cannot start or keeps dying, with its last words."""
        await self._gave_up.wait()
        return self._why

    async def _keep(self, child: ChildProcess) -> None:
        deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        while True:
            status = await self._died(child.name)
            if self._was_up(child):
                deaths.clear()
            deaths.append(time.monotonic())
            if status == CONFIGURATION_ERROR and not self._ready[child.name].done():
                self._give_up(f"{child.name} cannot start: {self._last_words(child)}")
                return
            if len(deaths) == DEATHS_MAX and deaths[-1] - deaths[0] < DEATHS_WITHIN_S:
                self._give_up(f"{child.name} keeps dying: {self._last_words(child)}")
                return
            print(
                f"secaplane: {child.name} ended with {status}; starting it again", file=sys.stderr
            )
            await asyncio.sleep(RESTART_DELAY_S * len(deaths))
            self._spawn(child)

    def _give_up(self, why: str) -> None:
        self._why = self._why or why
        self._gave_up.set()

    def _last_words(self, child: ChildProcess) -> str:
        """The last line of its log, which may be gone before anybody can look there."""
        written = (self._logs / f"{child.name}.log").read_bytes()[-WORDS_BYTES_MAX:]
        lines = written.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return last.removeprefix("secaplane: ")

    async def _died(self, name: str) -> int:
        process = self._processes[name]
        while True:
            status = process.poll()
            if status is not None:
                return status
            await asyncio.sleep(POLL_S)

    def _was_up(self, child: ChildProcess) -> bool:
        """Whether it had got so far that its death is no fault of its start."""
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

        def heard() -> None:
            line = os.read(reading, 4096)
            self._announced[child.name] = bool(line)
            loop.remove_reader(reading)
            os.close(reading)
            waiting = self._ready[child.name]
            if line and not waiting.done():
                waiting.set_result(msgspec.json.decode(line, type=Announcement))

        loop.add_reader(reading, heard)

    async def _stop_all(self) -> None:
        """Those who use the servers first, all at once; then the servers."""
        users = [c for c in self._started if c.announces]
        servers = [c for c in self._started if not c.announces]
        for some in (users, servers):
            for child in some:
                self._signal(child, getattr(signal, child.in_order))
            for child in some:
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
    """A supervisor that is killed leaves nobody behind (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
