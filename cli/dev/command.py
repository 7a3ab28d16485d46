"""`secaplane dev`: everything on one machine, from one command."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from secaplane.cli.config import BadConfig, Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from secaplane.edge.serving.server import listen

READY_S_MAX = 60.0


async def run(config: Config, *, folder: Path | None, port: int | None, as_json: bool) -> int:
    """Start everything, say so, and stay until told to stop; then stop everything.

    Raises:
        BadConfig, CannotListen: the folder or the port is in use; nothing is left running.
    """
    os.umask(0o077)  # what lies in the folder is its owner's alone
    with ExitStack() as stack:
        place = _folder(folder, stack)
        chosen = config.http.port if port is None else port
        if chosen:
            listen(config.http.host, chosen).close()
        house = DevPlane(config, place, chosen, lasting=folder is not None)
        try:
            async with Supervisor(place / "logs") as children:
                await _started(house, children)
                print(house.as_json(children) if as_json else house.as_text(), flush=True)
                raise BadConfig(await children.ended())
        finally:  # a thread may still be making PostgreSQL's folder
            await asyncio.get_running_loop().shutdown_default_executor()


async def _started(house: DevPlane, children: Supervisor) -> None:
    """Raises BadConfig as soon as it is clear that it will not be."""

    async def refuse_dying() -> None:
        raise BadConfig(await children.ended())

    try:
        async with asyncio.timeout(READY_S_MAX), asyncio.TaskGroup() as group:
            watching = group.create_task(refuse_dying())
            await house.start(children)
            watching.cancel()
    except TimeoutError as error:
        raise BadConfig(f"the house is not ready after {READY_S_MAX:.0f} s") from error


def _folder(folder: Path | None, stack: ExitStack) -> Path:
    """The folder, locked for as long as the stack is open; a temporary one goes with it."""
    if folder is None:
        place = Path(tempfile.mkdtemp(prefix="secaplane-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
    else:
        place = folder.absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        lock = stack.enter_context((place / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadConfig(f"{place} is in use by another `secaplane dev`") from error
    except OSError as error:
        raise BadConfig(f"{place}: {error.strerror}") from error
    return place
