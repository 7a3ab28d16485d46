"""The end of a server: requests in flight are answered, in a bounded time.

First the process is not ready while it still accepts requests, and each answer closes its
connection; then new connections are refused, and those that wait for a request are closed; then the
requests in flight finish. Those that do not finish in time are cancelled: each gets a 503
(`edge.serving.app`).
"""

import asyncio
from typing import NamedTuple

import uvicorn

from secaplane.edge.serving.connections import Connections

NOT_READY_S, IN_FLIGHT_S = 2.0, 20.0
LAST_ANSWERS_S_MAX = 1.0
"""Time for the answers to cancelled requests."""
POLL_S = 0.02


class Drain(NamedTuple):
    """Seconds in which new requests are still accepted, and seconds for those in flight."""

    not_ready_s: float = 0.0
    in_flight_s: float = LAST_ANSWERS_S_MAX


AT_ONCE = Drain()


async def drained(
    server: uvicorn.Server, serving: asyncio.Task[None], connections: Connections, drain: Drain
) -> None:
    """Ends a server that runs in the task `serving`. If this is cancelled, it ends at once: no
    answer is sent any more."""
    try:
        connections.closing = True
        if not serving.done():
            await asyncio.sleep(drain.not_ready_s)
        server.should_exit = True
        await asyncio.wait({serving})
        await _last_answers(server, connections)
    finally:
        connections.close_all()
        for request in server.server_state.tasks:
            request.cancel()


async def _last_answers(server: uvicorn.Server, connections: Connections) -> None:
    waits = round(LAST_ANSWERS_S_MAX / POLL_S)
    while waits and (server.server_state.tasks or len(connections)):
        await asyncio.sleep(POLL_S)
        waits -= 1
