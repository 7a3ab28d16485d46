"""Run a coroutine as a process: until it ends, or until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from threading import Timer
from typing import Any

from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.server import CannotListen

CUT_SHORT = 128
"""Exit status of a process that a second signal ended before it was done: plus its number."""
NOT_ENDED = 3
"""Exit status of a process that did not end in time after a signal, for whatever reason."""
log = logging.getLogger("secaplane")


class StopRequest:
    """The request to end a process, by SIGTERM or SIGINT.

    A process that awaits `received` is not cancelled by the first signal: it ends in order. Before
    that, and at a second signal, its task is cancelled.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._received: asyncio.Future[None] | None = None
        self.stopping = False
        """The process ends; also if the reason is no signal."""
        self.cancelled = False
        """A signal has cancelled the process."""

    async def received(self) -> None:
        """Returns at the first signal."""
        self._received = asyncio.get_running_loop().create_future()
        try:
            await self._received
        finally:
            self.stopping = True

    def signal(self) -> None:
        if self._received is not None and not self._received.done():
            self._received.set_result(None)
        else:
            self.cancelled = True
            self._task.cancel()


def run(process: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """As `run_until_stopped`, for a coroutine that the first signal cancels."""
    return run_until_stopped(lambda _: process())


def run_until_stopped(
    process: Callable[[StopRequest], Coroutine[Any, Any, Any]],
    *,
    ends_within_s: float | None = None,
) -> int:
    """The exit status: what the coroutine returns; 0 after one signal; 128 and its number after a
    second one. So many seconds after the first, what still runs is ended with NOT_ENDED: a server
    that is gone can keep a connection's cleanup waiting for ever. None: no limit.

    Raises:
        BadConfig, CannotListen: also where they ended one of several tasks.
    """
    import uvloop

    async def stoppable() -> int:
        task = asyncio.current_task()
        assert task is not None
        stop, last = StopRequest(task), 0

        def signalled(number: int) -> None:
            nonlocal last
            if not last and ends_within_s is not None:
                deadline.start()
            last = number
            stop.signal()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, signalled, number)
        try:
            return int(await process(stop) or 0)
        except asyncio.CancelledError:
            if stop.cancelled:
                return CUT_SHORT + last if stop.stopping else 0
            raise
        except BaseExceptionGroup as group:
            known, rest = group.split((BadConfig, CannotListen))
            if known is not None and rest is None:
                raise known.exceptions[0] from group
            raise

    deadline = Timer(ends_within_s or 0.0, _end_now)
    deadline.daemon = True
    try:
        return uvloop.run(stoppable())
    finally:
        deadline.cancel()


def _end_now() -> None:
    """In a thread of its own, because the event loop may be blocked."""
    log.error("the process did not end in time")
    os._exit(NOT_ENDED)
