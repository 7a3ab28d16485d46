"""Serves an application on a socket, until it is stopped."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

import uvicorn

from secaplane.edge.serving.app import Asgi
from secaplane.edge.serving.connections import ConnectionLimits, Connections
from secaplane.edge.serving.drain import AT_ONCE, Drain, drained
from secaplane.edge.serving.http_protocol import BoundedHttpProtocol

BACKLOG = 2048


class CannotListen(Exception):
    """The address is in use, or is not one of this machine."""


class CertificateFiles(Protocol):
    """Paths of a certificate and its key, in PEM; empty without TLS."""

    @property
    def certificate(self) -> str: ...
    @property
    def key(self) -> str: ...


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        CannotListen: with the cause in one line.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(f"cannot listen on {host}:{port}: {reason}") from error
    listening.setblocking(False)
    return listening


class _Server(uvicorn.Server):
    """Signals are handled by the process, which stops its parts in order."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def serving(
    app: Asgi,
    listening: socket.socket,
    limits: ConnectionLimits | None = None,
    tls: CertificateFiles | None = None,
    drain: Drain = AT_ONCE,
) -> AsyncIterator[None]:
    """Answers requests on a socket while inside; on leaving, for whatever reason, finishes those in
    flight (`edge.serving.drain`). With a certificate: over TLS alone."""
    connections = Connections((limits or ConnectionLimits()).within_descriptors())
    protocol: Any = partial(BoundedHttpProtocol, connections=connections)
    config = uvicorn.Config(
        app,
        loop="none",
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=tls.certificate or None if tls else None,
        ssl_keyfile=tls.key or None if tls else None,
        timeout_keep_alive=int(connections.limits.idle_s),
        timeout_graceful_shutdown=drain.in_flight_s,  # type: ignore[arg-type]
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listening]))
        sweeping = group.create_task(connections.run())
        try:
            yield
        finally:
            await drained(server, serving, connections, drain)
            sweeping.cancel()
