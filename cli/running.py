"""Run a coroutine as a process: until it ends, or until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from secaplane.cli.config import BadConfig
from secaplane.edge.serving.server import CannotListen


def run(process: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """The exit status: what the coroutine returns, or 0 after a signal.

    Raises:
        BadConfig, CannotListen: also where they ended one of several tasks.
    """
    import uvloop

    async def stoppable() -> int:
        task = asyncio.current_task()
        assert task is not None
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            return int(await process() or 0)
        except asyncio.CancelledError:
            if stopped:
                return 0
            raise
        except BaseExceptionGroup as group:
            known, rest = group.split((BadConfig, CannotListen))
            if known is not None and rest is None:
                raise known.exceptions[0] from group
            raise

    return uvloop.run(stoppable())
