"""A server keeps nothing of a request that it has answered: neither while its connection waits for
the next one, nor after the client has reset it."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from secaplane.edge.serving.server import listen, serving

HOST = "127.0.0.1"
LONG = 30.0
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
LENGTH = [(b"content-length", b"2")]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset."""


class Kept:
    """Stands for what an application keeps in the scope of its request, such as the body."""


class Scene:
    """A server that answers each request with two bytes; `kept`: of the requests so far."""

    def __init__(self) -> None:
        self.kept, self.port = list[weakref.ref[Kept]](), 0

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Scene"]:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            scope["state"]["kept"] = kept = Kept()
            self.kept.append(weakref.ref(kept))
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": LENGTH})
            await send({"type": "http.response.body", "body": b"{}"})

        listening = listen(HOST, 0)
        self.port = listening.getsockname()[1]
        async with serving(application, listening):
            yield self

    async def nothing_is_kept(self) -> bool:
        """Wait until every request is forgotten."""
        async with asyncio.timeout(LONG):
            while any(each() is not None for each in self.kept):
                gc.collect()
                await asyncio.sleep(0.01)
        return bool(self.kept)


async def test_a_connection_that_waits_keeps_nothing_of_its_last_request() -> None:
    async with Scene().served() as scene:
        reader, writer = await asyncio.open_connection(HOST, scene.port)
        for _ in range(2):
            writer.write(PUT)
            await reader.readuntil(b"{}")
            assert await scene.nothing_is_kept()
        writer.close()
        await writer.wait_closed()


async def test_requests_that_were_sent_at_once_are_all_answered_and_forgotten() -> None:
    async with Scene().served() as scene:
        reader, writer = await asyncio.open_connection(HOST, scene.port)
        writer.write(PUT * 5)
        for _ in range(5):
            await reader.readuntil(b"{}")
        assert await scene.nothing_is_kept()
        assert len(scene.kept) == 5
        writer.close()
        await writer.wait_closed()


async def test_a_connection_that_was_reset_is_forgotten_at_once() -> None:
    async with Scene().served() as scene:
        reader, writer = await asyncio.open_connection(HOST, scene.port)
        writer.write(PUT)
        await reader.readuntil(b"{}")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()
        assert await scene.nothing_is_kept()
