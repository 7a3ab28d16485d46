"""A process that takes part in races: handles commands on the real log and the real read model.

    python -m tests.flows.racer CONFIG

Reads one task per line of JSON from stdin and writes one outcome per line to stdout.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import msgspec
import uvloop

from secaplane.cli.config import read
from secaplane.cli.processes.connections import process_dependencies
from secaplane.cli.processes.wiring import command_dependencies
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Delete, Put, ReportStatus
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import PrefixExpectation
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.model.actor import Actor
from secaplane.model.errors import Refusal
from secaplane.model.events import Created, RecordedEvent
from secaplane.model.shape import Json, Ref, State

REPORTS_PER_S, REPORTERS = 1000, 24
LATE_S_MAX = 0.1
"""Reports that fall behind schedule are caught up, for at most this time."""
ACCEPTED, READY = "accepted", "ready"
ACTOR = Actor(sub="racer")


class WriteTask(msgspec.Struct, frozen=True, tag=True):
    """PUT the resource, or, without a spec, delete it."""

    request: str
    ref: Ref
    spec: Json | None = None
    wait_s: float = 0.0
    keep_terminating: bool = False
    """Report right after the deletion that the removal was refused, so that no reconciler removes
    the resource before it is deleted again."""


class ReportTask(msgspec.Struct, frozen=True, tag=True):
    """Report a refused removal again and again on these resources, and on no others, as long as
    they are terminating; answer how many reports were recorded so far."""

    request: str
    refs: tuple[Ref, ...]


class KillTask(msgspec.Struct, frozen=True, tag=True):
    """Kill this process (SIGKILL) between the append of a child and the check of its parents. So
    that one death leaves several children, each writer waits after its append until this many
    writes have been appended or refused."""

    writes: int


class TaskOutcome(msgspec.Struct, frozen=True):
    request: str
    outcome: str
    """Of a write: ACCEPTED, or the class name of the refusal."""
    detail: str = ""


@dataclass
class Countdown:
    """Kills this process after a number of writes; never, while the number is None."""

    writes_left: int | None = None

    def count(self) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class StoppingLog(JetStreamLog):
    """Never returns from the append of a child once the countdown runs."""

    countdown: Countdown

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        recorded = await super().append(new_event, expectation=expectation)
        if isinstance(new_event.event, Created) and self.countdown.writes_left is not None:
            self.countdown.count()
            await asyncio.Event().wait()
        return recorded


@dataclass
class Racer:
    dependencies: CommandDependencies
    countdown: Countdown
    reported_refs: deque[Ref] = field(default_factory=deque)
    reports: int = 0
    _has_refs: asyncio.Event = field(default_factory=asyncio.Event)
    _due_s: float = 0.0

    async def run(self, tasks: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as group:
            reporters = [group.create_task(self._report_repeatedly(n)) for n in range(REPORTERS)]
            self._answer(READY, READY)
            while line := await tasks.readline():
                match msgspec.json.decode(line, type=WriteTask | ReportTask | KillTask):
                    case WriteTask() as task:
                        group.create_task(self._write(task))
                    case ReportTask(request=request, refs=refs):
                        self.reported_refs = deque(refs)
                        self._has_refs.set()
                        self._answer(request, str(self.reports))
                    case KillTask(writes=writes):
                        self.countdown.writes_left = writes
            for each in reporters:
                each.cancel()

    def _answer(self, request: str, outcome: str, detail: str = "") -> None:
        line = msgspec.json.encode(TaskOutcome(request, outcome, detail)) + b"\n"
        os.write(sys.stdout.fileno(), line)

    async def _write(self, task: WriteTask) -> None:
        await asyncio.sleep(task.wait_s)
        command = Delete() if task.spec is None else Put(spec=task.spec)
        try:
            await handle(self.dependencies, task.ref, command, actor=ACTOR, request=task.request)
            if task.keep_terminating:
                await self._report_once(task.ref, task.request)
        except Refusal as refusal:
            self._answer(task.request, type(refusal).__name__, refusal.detail)
        else:
            self._answer(task.request, ACCEPTED)
        self.countdown.count()

    async def _report_repeatedly(self, reporter: int) -> None:
        now = asyncio.get_running_loop().time
        for n in count():
            while not self.reported_refs:
                self._has_refs.clear()
                await self._has_refs.wait()
            self._due_s = max(now() - LATE_S_MAX, self._due_s + 1 / REPORTS_PER_S)
            await asyncio.sleep(self._due_s - now())
            if self.reported_refs:
                ref = self.reported_refs[0]
                self.reported_refs.rotate()
                if await self._report_once(ref, f"{os.getpid()}.{reporter}.{n}"):
                    self.reports += 1

    async def _report_once(self, ref: Ref, mark: str) -> bool:
        resource = self.dependencies.cache.cached(ref)
        if resource is None or not resource.terminating:
            resource = await self.dependencies.cache.current(ref)
        if resource is None or not resource.deleted_at or resource.gone:
            return False
        command = ReportStatus(
            uid=resource.uid,
            observed_position=resource.position,
            state=State.ERROR,
            status=resource.observed,
            reason="CannotRemove",
            message=f"the resource still exists: {mark}",
        )
        result = await handle(
            self.dependencies, ref, command, actor=ACTOR, request=f"report-{mark}"
        )
        return result.event is not None


async def main(path: Path) -> None:
    config, countdown, tasks = read(path), Countdown(), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(tasks), sys.stdin)
    async with process_dependencies(config, writes_log=True) as process:
        log = StoppingLog(
            process.nats,
            streams=process.log.streams,
            region=config.site.region,
            seals=process.jetstream.seals,
        )
        log.countdown = countdown
        stopping = replace(process, log=MonotonicLog(log))
        await Racer(command_dependencies(stopping, config), countdown).run(tasks)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
