"""`secaplane dev`: start the control plane, print its addresses, stop everything at the end."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.server import listen

READY_S_MAX = 60.0


async def run(config: Config, *, folder: Path | None, port: int | None, as_json: bool) -> int:
    """Runs until a signal, or until a child cannot be kept running.

    Raises:
        BadConfig: the folder is in use, or a child process keeps dying; every process is stopped.
        CannotListen: the port is in use.
    """
    os.umask(0o077)  # files in the folder are readable by their owner alone
    with ExitStack() as stack:
        place = _folder(folder, stack)
        chosen = config.http.port if port is None else port
        if chosen:
            listen(config.http.host, chosen).close()
        plane = DevPlane(config, place, chosen, durable=folder is not None)
        try:
            async with Supervisor(place / "logs") as children:
                await _start(plane, children)
                print(plane.as_json(children) if as_json else plane.as_text(), flush=True)
                raise BadConfig(await children.ended())
        finally:  # a thread may still be initialising PostgreSQL's folder
            await asyncio.get_running_loop().shutdown_default_executor()


async def _start(plane: DevPlane, children: Supervisor) -> None:
    """Raises BadConfig when a child process keeps dying, or after `READY_S_MAX` seconds."""

    async def raise_on_failure() -> None:
        raise BadConfig(await children.ended())

    try:
        async with asyncio.timeout(READY_S_MAX), asyncio.TaskGroup() as group:
            watching = group.create_task(raise_on_failure())
            await plane.start(children)
            watching.cancel()
    except TimeoutError as error:
        raise BadConfig(f"the control plane is not ready after {READY_S_MAX:.0f} s") from error


def _folder(folder: Path | None, stack: ExitStack) -> Path:
    """The data folder, locked until the stack is closed. None: a temporary one, removed then."""
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
