"""People who rebuild read models, and callers who must not notice."""

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
from tests.flows.client import VOLUME, Client, at, client_of
from tests.flows.crashing import Scene, until
from tests.plane import RunningPlane

LATER = (
    "import sys; from readmodel import tables; tables.LAYOUT += 1; from cli.main import main;"
    " sys.exit(main())"
)
"""The house as a later release would start it, with tables of another layout."""


async def started(own_plane: RunningPlane, *words: str) -> Process:
    """`secaplane projector ...`, as somebody types it beside the running house."""
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


async def there(scene: Scene) -> list[str]:
    async with database(scene) as connection:
        return await read_models(connection)


@asynccontextmanager
async def held_up(scene: Scene, read_model: str) -> AsyncIterator[None]:
    """No rebuild can come to its end."""
    async with database(scene) as connection, connection.transaction():
        await connection.execute(f"select from {read_model}.checkpoints for update")
        yield


async def waits(scene: Scene) -> None:
    """Until a rebuild that is held up has come as far as it can."""
    waiting = (
        "select exists (select from pg_stat_activity"
        " where wait_event_type = 'Lock' and query like '%from checkpoints%for update')"
    )

    async def so() -> bool:
        async with database(scene) as connection:
            return bool(await connection.fetchval(waiting))

    await until(so, "a rebuild waits")


class Callers:
    """They read, list page by page, and write, until they are told to stop; whatever they are told
    and whatever they miss is an error."""

    def __init__(self, url: str, token: str, names: list[str]) -> None:
        self._url, self._token, self._names = url, token, names
        self._numbers = count(1)
        self._over = False
        self.asked = 0

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
        """Until that many more were given."""
        end = self.asked + answers

        async def given() -> bool:
            return self.asked >= end

        await until(given, "they are answered")

    async def _again(self, call: object, client: Client) -> None:
        while not self._over:
            await call(client)  # type: ignore[operator]
            self.asked += 1

    async def _read(self, client: Client) -> None:
        for name in self._names:
            answer = await client.get(disk(name))
            assert answer.status == 200, answer

    async def _walk(self, client: Client) -> None:
        """Every page, and nobody missing who was there from the beginning."""
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
        """What was written can be read at once."""
        path = disk(f"new-{next(self._numbers)}")
        made = await client.put(path, VOLUME)
        assert made.status == 201, made
        answer = await client.get(path)
        assert answer.status == 200, answer


def disk(name: str = "") -> str:
    return at("block-storage", name, workspace="busy")
