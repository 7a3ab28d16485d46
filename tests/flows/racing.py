"""Processes that race, as the test that sets them on sees them."""

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
from tests.flows.racer import ACCEPTED, READY, Doom, Said, Watch, Wish
from tests.plane import RunningPlane

DIED = "died"
_number = count(1)


class Racer:
    """One process with a door of its own."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._awaited: dict[str, asyncio.Future[str]] = {}
        self._ready = self.hear(READY)

    def hear(self, request: str) -> asyncio.Future[str]:
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited[request] = heard
        return heard

    async def ready(self) -> None:
        assert await self._ready == READY

    async def listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = msgspec.json.decode(line, type=Said)
            self._tell_of(said.request, said.outcome)
        for request in [*self._awaited]:
            self._tell_of(request, DIED)

    def _tell_of(self, request: str, outcome: str) -> None:
        heard = self._awaited.pop(request)
        if not heard.done():  # whoever asked may have given up
            heard.set_result(outcome)

    def send(
        self,
        ref: Ref,
        spec: Json | None = None,
        *,
        request: str = "",
        wait_s: float = 0.0,
        stays: bool = False,
    ) -> asyncio.Future[str]:
        """What will become of a PUT, or, without a spec, of a DELETE."""
        request = request or _unique()
        heard = self.hear(request)
        self._tell(Wish(request, ref, spec, wait_s, stays))
        return heard

    async def do(self, ref: Ref, spec: Json | None = None, *, stays: bool = False) -> None:
        outcome = await self.send(ref, spec, stays=stays)
        assert outcome == ACCEPTED, f"{ref}: {outcome}"

    def watch(self, *refs: Ref) -> asyncio.Future[str]:
        """How many reports were recorded so far."""
        request = _unique()
        heard = self.hear(request)
        self._tell(Watch(request, refs))
        return heard

    def doom(self, wishes: int) -> None:
        self._tell(Doom(wishes))

    def _tell(self, task: Wish | Watch | Doom) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(task) + b"\n")


def _unique() -> str:
    return f"task{next(_number)}"


@asynccontextmanager
async def racers(own_plane: RunningPlane, number: int) -> AsyncIterator[list[Racer]]:
    """They have the configuration and the rights of a process that answers users."""
    environment = {name: value for name, value in os.environ.items() if name[:10] != PREFIX}
    environment |= own_plane.dev.process("serve").environment
    argv = (sys.executable, "-m", "tests.flows.racer", str(own_plane.folder / "config.json"))
    async with asyncio.TaskGroup() as group:
        started = [
            Racer(
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
