"""Starts processes that race (`racer`), and sends them tasks."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import msgspec

from secaplane.cli.config import PREFIX
from secaplane.model.shape import Json, Ref
from tests.flows.racer import ACCEPTED, READY, KillTask, ReportTask, TaskOutcome, WriteTask
from tests.plane import RunningPlane

DIED = "died"
_number = count(1)


class RacerProcess:
    """One process that handles commands on its own connections."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._awaited: dict[str, asyncio.Future[str]] = {}
        self._ready = self._expect(READY)

    def _expect(self, request: str) -> asyncio.Future[str]:
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited[request] = outcome
        return outcome

    async def ready(self) -> None:
        assert await self._ready == READY

    async def listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            answer = msgspec.json.decode(line, type=TaskOutcome)
            self._resolve(answer.request, answer.outcome)
        for request in [*self._awaited]:
            self._resolve(request, DIED)

    def _resolve(self, request: str, outcome: str) -> None:
        future = self._awaited.pop(request)
        if not future.done():  # the waiting test may have been cancelled
            future.set_result(outcome)

    def send(
        self,
        ref: Ref,
        spec: Json | None = None,
        *,
        request: str = "",
        wait_s: float = 0.0,
        keep_terminating: bool = False,
    ) -> asyncio.Future[str]:
        """Start a PUT, or, without a spec, a DELETE; the future gives its outcome."""
        request = request or _unique()
        outcome = self._expect(request)
        self._send(WriteTask(request, ref, spec, wait_s, keep_terminating))
        return outcome

    async def do(
        self, ref: Ref, spec: Json | None = None, *, keep_terminating: bool = False
    ) -> None:
        """Write, and fail unless the write is accepted."""
        outcome = await self.send(ref, spec, keep_terminating=keep_terminating)
        assert outcome == ACCEPTED, f"{ref}: {outcome}"

    def report_on(self, *refs: Ref) -> asyncio.Future[str]:
        """Report on these resources only from now on; the future gives the reports so far."""
        request = _unique()
        outcome = self._expect(request)
        self._send(ReportTask(request, refs))
        return outcome

    def kill_after(self, writes: int) -> None:
        """Let the process kill itself once that many children are appended or refused."""
        self._send(KillTask(writes))

    def _send(self, task: WriteTask | ReportTask | KillTask) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(task) + b"\n")


def _unique() -> str:
    return f"task{next(_number)}"


@asynccontextmanager
async def racers(own_plane: RunningPlane, number: int) -> AsyncIterator[list[RacerProcess]]:
    """Racers with the configuration and the NATS and database rights of `serve`."""
    environment = {name: value for name, value in os.environ.items() if name[:10] != PREFIX}
    environment |= own_plane.dev.process("serve").environment
    argv = (sys.executable, "-m", "tests.flows.racer", str(own_plane.folder / "config.json"))
    async with asyncio.TaskGroup() as group:
        started = [
            RacerProcess(
                await asyncio.create_subprocess_exec(
                    *argv, stdin=PIPE, stdout=PIPE, env=environment
                )
            )
            for _ in range(number)
        ]
        listening = [group.create_task(each.listen()) for each in started]
        try:
            for each in started:
                await each.ready()
            yield started
        finally:
            for each in started:
                if each.process.returncode is None:
                    each.process.kill()
                await each.process.wait()
            await asyncio.wait(listening)
