"""Receivers of an export: a syslog server that reads framed messages, and an HTTP server. Both can
fail."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from secaplane.cli.dev.embedded import HOST
from secaplane.model.shape import Json

FRAME = re.compile(rb"([0-9]+) ")
HEADER = re.compile(r"<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (.*)", re.S)
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection."""


@dataclass
class Received:
    """`whole`: what arrived on connections that ended in order, or in requests that got 200."""

    whole: list[str] = field(default_factory=list)
    headers: list[Json] = field(default_factory=list)
    failures: int = 0
    port: int = 0

    @property
    def events(self) -> list[Json]:
        return [msgspec.json.decode(each) for each in self.whole]


def frames(data: bytes) -> list[str]:
    """The messages of RFC 6587's octet counting."""
    found = list[str]()
    while data:
        length = FRAME.match(data)
        assert length is not None, data[:40]
        end = length.end() + int(length[1])
        assert end <= len(data)
        found.append(data[length.end() : end].decode())
        data = data[end:]
    return found


@asynccontextmanager
async def syslog_server(
    fails: Callable[[int], bool] = lambda _: False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Received]:
    """Of a connection whose number fails it reads a part, and resets it."""
    received, number = Received(), 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        if fails(number):
            received.failures += 1
            await reader.read(50)
            plain: socket.socket = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            return
        data = await reader.read()
        for each in frames(data):
            header = HEADER.fullmatch(each)
            assert header is not None, each
            received.headers.append({"priority": header[1], "time": header[2], "type": header[6]})
            received.whole.append(header[8])
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0, ssl=tls)
    received.port = server.sockets[0].getsockname()[1]
    try:
        yield received
    finally:
        server.close()


@asynccontextmanager
async def http_server(status: Callable[[int, int], int]) -> AsyncIterator[Received]:
    """`status`: of the request with a number and that many events."""
    received, number = Received(), 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal number
        number += 1
        text = (await request.read()).decode()
        if request.content_type == "application/cloudevents-batch+json":
            parts = [
                bytes(each).decode() for each in msgspec.json.decode(text, type=list[msgspec.Raw])
            ]
        else:
            parts = text.removesuffix("\n").split("\n")  # not at other line breaks of Unicode
        answer = status(number, len(parts))
        if answer == 200:
            received.whole += parts
            received.headers.append(dict(request.headers))
        else:
            received.failures += 1
        return web.Response(status=answer, text="no")

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/events", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    assert site._server is not None
    received.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield received
    finally:
        await runner.cleanup()
