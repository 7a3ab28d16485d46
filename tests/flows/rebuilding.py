"""Rebuilds of read models, and callers that must not notice them."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from secaplane.cli.config import PREFIX
from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import ChildProcess
from secaplane.readmodel.schema.active import read_models
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.resources import RESOURCES
from tests.flows.client import VOLUME, Client, at, client_of
from tests.flows.crashing import Scene, until
from tests.plane import RunningPlane

LATER = (
    "import sys; from msgspec.structs import force_setattr;"
    " from secaplane.readmodel.schema.resources import RESOURCES;"
    " force_setattr(RESOURCES, 'layout', RESOURCES.layout + 1);"
    " from secaplane.cli.main import main; sys.exit(main())"
)
"""A process of a later release, in which the group `resources` has another layout."""


async def started(own_plane: RunningPlane, *words: str) -> Process:
    """`secaplane projector ...`, as an operator starts it beside the running control plane."""
    child = own_plane.dev.process("projector")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    argv = (sys.executable, "-P", "-m", "secaplane.cli.main", "projector", *words, *child.argv[-2:])
    return await asyncio.create_subprocess_exec(
        *argv, stdout=PIPE, stderr=PIPE, env=inherited | child.environment
    )


async def said(process: Process) -> tuple[int, list[str]]:
    out, err = await process.communicate()
    return process.returncode or 0, (out + err).decode().splitlines()


def later(own_plane: RunningPlane, name: str, port: int | None = None) -> ChildProcess:
    """A process of a later release."""
    child, port = own_plane.dev.process(name), port or free_port()
    variable = "SECAPLANE_HTTP_PORT" if name == "serve" else "SECAPLANE_MONITOR_PORT"
    argv = (sys.executable, "-c", LATER, name, *child.argv[-2:])
    environment = child.environment | {variable: str(port)}
    return ChildProcess(f"later-{name}", argv, environment, announces=True)


@asynccontextmanager
async def database(scene: Scene) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(scene.plane.dev.postgres(OWNER))
    yield connection
    await connection.close()


async def existing(scene: Scene) -> list[str]:
    """The read models of both groups."""
    async with database(scene) as connection:
        return [
            name for group in (RESOURCES, HISTORY) for name in await read_models(connection, group)
        ]


@asynccontextmanager
async def held_up(scene: Scene, read_model: str) -> AsyncIterator[None]:
    """Lock a read model's checkpoints, so that no rebuild can end."""
    async with database(scene) as connection, connection.transaction():
        await connection.execute(f"select from {read_model}.checkpoints for update")
        yield


async def waits(scene: Scene) -> None:
    """Wait until a rebuild waits for the lock of `held_up`."""
    waiting = (
        "select exists (select from pg_stat_activity"
        " where wait_event_type = 'Lock' and query like '%from checkpoints%for update')"
    )

    async def so() -> bool:
        async with database(scene) as connection:
            return bool(await connection.fetchval(waiting))

    await until(so, "a rebuild waits")


class Callers:
    """Callers that read, list and write until they are stopped; they accept no refusal, and miss no
    resource."""

    def __init__(self, url: str, token: str, names: list[str]) -> None:
        self._url, self._token, self._names = url, token, names
        self._numbers = count(1)
        self._over = False
        self.answered = 0

    @asynccontextmanager
    async def busy(self) -> AsyncIterator["Callers"]:
        async with client_of(self._url, self._token) as client, asyncio.TaskGroup() as group:
            for call in (self._read, self._walk, self._write, self._write):
                group.create_task(self._again(call, client))
            try:
                yield self
            finally:
                self._over = True

    async def more(self, answers: int) -> None:
        """Wait for so many more answers."""
        end = self.answered + answers

        async def given() -> bool:
            return self.answered >= end

        await until(given, "they are answered")

    async def _again(self, call: object, client: Client) -> None:
        while not self._over:
            await call(client)  # type: ignore[operator]
            self.answered += 1

    async def _read(self, client: Client) -> None:
        for name in self._names:
            answer = await client.get(disk(name))
            assert answer.status == 200, answer

    async def _walk(self, client: Client) -> None:
        """Every page; no resource that existed from the beginning is missing."""
        found, token = list[str](), ""
        while True:
            answer = await client.get(f"{disk()}?limit=7&labels=env%3Ddemo{token}")
            assert answer.status == 200, answer
            found += answer.names
            if "skipToken" not in answer.json["metadata"]:
                break
            token = f"&skipToken={answer.json['metadata']['skipToken']}"
        assert found == sorted(set(found))
        assert set(self._names) <= set(found)

    async def _write(self, client: Client) -> None:
        """A write, and a read of it (read-your-writes)."""
        path = disk(f"new-{next(self._numbers)}")
        made = await client.put(path, VOLUME)
        assert made.status == 201, made
        answer = await client.get(path)
        assert answer.status == 200, answer


def disk(name: str = "") -> str:
    return at("block-storage", name, workspace="busy")
