"""A process that takes part in races: a door of its own on the real log and the real read model.

    python -m tests.flows.racer CONFIG

Each line of JSON that comes in is a task; each that goes out says what became of a wish.
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
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import PrefixExpectation
from secaplane.model.errors import Refusal
from secaplane.model.events import Actor, Created, RecordedEvent
from secaplane.model.shape import Json, Ref, State

REPORTS_PER_S, REPORTERS = 1000, 24
LATE_S_MAX = 0.1
"""Reports that could not be written in time are made up for, but not for longer than this."""
ACCEPTED, READY = "accepted", "ready"
BY = Actor(sub="racer")


class Wish(msgspec.Struct, frozen=True, tag=True):
    """Make it so, or, without a spec, delete it."""

    request: str
    ref: Ref
    spec: Json | None = None
    wait_s: float = 0.0
    stays: bool = False
    """Its deletion is followed by a report, at once, that its removal was refused: so nobody tries
    to remove it before it is deleted again."""


class Watch(msgspec.Struct, frozen=True, tag=True):
    """Go on reporting that on these, and on no others, as long as they are going and not gone; say
    how many reports were recorded so far."""

    request: str
    refs: tuple[Ref, ...]


class Doom(msgspec.Struct, frozen=True, tag=True):
    """Die (SIGKILL) between the append of a child and the look at its parents. So that one death
    counts for several children, whoever has appended one is held until this many wishes have come
    so far, or were refused."""

    wishes: int


class Said(msgspec.Struct, frozen=True):
    request: str
    outcome: str
    """Of a wish: ACCEPTED, or which refusal."""
    detail: str = ""


@dataclass
class Fate:
    wishes_left: int | None = None

    def one_less(self) -> None:
        if self.wishes_left is not None:
            self.wishes_left -= 1
            if self.wishes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DoomedLog(JetStreamLog):
    fate: Fate

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        recorded = await super().append(new_event, expectation=expectation)
        if isinstance(new_event.event, Created) and self.fate.wishes_left is not None:
            self.fate.one_less()
            await asyncio.Event().wait()
        return recorded


@dataclass
class Racer:
    dependencies: CommandDependencies
    fate: Fate
    watched: deque[Ref] = field(default_factory=deque)
    reports: int = 0
    _some: asyncio.Event = field(default_factory=asyncio.Event)
    _due_s: float = 0.0

    async def run(self, tasks: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as group:
            reporters = [group.create_task(self._report(n)) for n in range(REPORTERS)]
            self._say(READY, READY)
            while line := await tasks.readline():
                match msgspec.json.decode(line, type=Wish | Watch | Doom):
                    case Wish() as envelope:
                        group.create_task(self._try(envelope))
                    case Watch(request=request, refs=refs):
                        self.watched = deque(refs)
                        self._some.set()
                        self._say(request, str(self.reports))
                    case Doom(wishes=wishes):
                        self.fate.wishes_left = wishes
            for each in reporters:
                each.cancel()

    def _say(self, request: str, outcome: str, detail: str = "") -> None:
        said = msgspec.json.encode(Said(request, outcome, detail)) + b"\n"
        os.write(sys.stdout.fileno(), said)

    async def _try(self, envelope: Wish) -> None:
        await asyncio.sleep(envelope.wait_s)
        command = Delete() if envelope.spec is None else Put(spec=envelope.spec)
        try:
            await handle(
                self.dependencies, envelope.ref, command, actor=BY, request=envelope.request
            )
            if envelope.stays:
                await self._reported(envelope.ref, envelope.request)
        except Refusal as refusal:
            self._say(envelope.request, type(refusal).__name__, refusal.detail)
        else:
            self._say(envelope.request, ACCEPTED)
        self.fate.one_less()

    async def _report(self, reporter: int) -> None:
        now = asyncio.get_running_loop().time
        for n in count():
            while not self.watched:
                self._some.clear()
                await self._some.wait()
            self._due_s = max(now() - LATE_S_MAX, self._due_s + 1 / REPORTS_PER_S)
            await asyncio.sleep(self._due_s - now())
            if self.watched:
                ref = self.watched[0]
                self.watched.rotate()
                if await self._reported(ref, f"{os.getpid()}.{reporter}.{n}"):
                    self.reports += 1

    async def _reported(self, ref: Ref, mark: str) -> bool:
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
            message=f"it is still there: {mark}",
        )
        handled = await handle(self.dependencies, ref, command, actor=BY, request=f"report-{mark}")
        return handled.event is not None


async def main(path: Path) -> None:
    config, fate, tasks = read(path), Fate(), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(tasks), sys.stdin)
    async with process_dependencies(config, writes_log=True) as process:
        log = DoomedLog(process.nats, streams=process.log.streams, region=config.site.region)
        log.fate = fate
        await Racer(command_dependencies(replace(process, log=log), config), fate).run(tasks)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
