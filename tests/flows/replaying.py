"""`secaplane replay`, as an operator starts it, and empty databases for it."""

import os
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from secaplane.cli.config import PREFIX
from tests.plane import RunningPlane

PLUGINS_LOADED = (
    "import sys; from secaplane.cli.main import main; status = main();"
    " loaded = [each for each in sys.modules if each.startswith('secaplane.plugins')];"
    " print('plugins loaded:', len(loaded)); sys.exit(status)"
)
_number = count(1)


async def started(
    *words: str, environment: Mapping[str, str], counts_plugins: bool = False
) -> Process:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    main = ("-c", PLUGINS_LOADED) if counts_plugins else ("-m", "secaplane.cli.main")
    argv = (sys.executable, "-P", *main, "replay", *words)
    return await create_subprocess_exec(
        *argv, stdout=PIPE, stderr=PIPE, env=inherited | {**environment}
    )


async def of_plane(plane: RunningPlane, *words: str, counts_plugins: bool = False) -> Process:
    """With the settings of the projector, which owns the tables."""
    child = plane.dev.process("projector")
    return await started(
        *words, *child.argv[-2:], environment=child.environment, counts_plugins=counts_plugins
    )


@asynccontextmanager
async def empty_database(server: str) -> AsyncIterator[str]:
    """Yields the URL of an empty database on the same server."""
    name = f"replay_{next(_number)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"create database {name}")
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()
