"""Serves an application on a socket, until it is stopped."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from secaplane.edge.problem import MEDIA_TYPE, refused
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.serving.app import Asgi
from secaplane.model.errors import Malformed

DRAIN_S_MAX = 5
BACKLOG = 2048
HEADERS_BYTES_MAX = 64 * 1024
"""Approximate: the parser reads what has arrived in one piece."""


class CannotListen(Exception):
    """The address is in use, or is not one of this machine."""


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


class _Protocol(HttpToolsProtocol):
    """Limits the request line and headers: the parser has no limit, and keeps all of them."""

    _in_head, _head_bytes = False, 0

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with a problem, too."""
        context = RequestContext({"method": "", "path": "", "headers": ()})
        problem = refused(Malformed("this is not a valid HTTP/1.1 request"), context)
        body: bytes = problem.content
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {context.request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEADERS_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("The address and the headers are too large.")


@contextlib.asynccontextmanager
async def serving(
    app: Asgi, listening: socket.socket, *, certificate: str = "", key: str = ""
) -> AsyncIterator[None]:
    """Answers requests on a socket while inside; on leaving, finishes those in progress. With the
    files of a certificate and its key: over TLS alone."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=certificate or None,
        ssl_keyfile=key or None,
        timeout_graceful_shutdown=DRAIN_S_MAX,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
