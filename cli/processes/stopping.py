"""The parts of a process that end in order: readiness first, background tasks last."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from secaplane.cli.running import StopRequest
from secaplane.edge.serving.health import Readiness

STOPPING = "stopping"
Start = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def background_tasks() -> AsyncIterator[Start]:
    """Yields a function that starts tasks without end. They are cancelled when the context ends; if
    one of them fails, the context is cancelled, and raises the failure after it has ended."""
    started: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        yield lambda work: started.append(group.create_task(work))
        for task in started:
            task.cancel()


def not_ready_when_stopping(
    readiness: Callable[[], Readiness], stop: StopRequest
) -> Callable[[], Readiness]:
    """Readiness that ends with the signal, before anything else does: a balancer sees it while
    requests are still answered."""

    def judged() -> Readiness:
        now = readiness()
        if not stop.stopping:
            return now
        return msgspec.structs.replace(now, ready=False, reasons=[STOPPING, *now.reasons])

    return judged
