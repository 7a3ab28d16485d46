"""Serves an application on a socket, until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from edge.app import Asgi

DRAIN_S_MAX = 5
BACKLOG = 2048
HEADERS_BYTES_MAX = 64 * 1024


class CannotListen(Exception):
    """The address is taken, or not ours."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        CannotListen: with a line a person can act on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening


class _Server(uvicorn.Server):
    """Signals belong to the process, which stops its parts in order."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def serving(app: Asgi, listening: socket.socket) -> AsyncIterator[None]:
    """Answers requests on a socket while inside; on leaving, finishes those that are under way."""
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
        timeout_graceful_shutdown=DRAIN_S_MAX,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
