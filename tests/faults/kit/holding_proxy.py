"""A TCP proxy that holds single requests back, and delivers them when the test says so.

A held request reaches the server also if its client has closed the connection or was killed: what a
slow network does to the last request of a process.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES_MAX = 1 << 16


@dataclass
class HeldRequest:
    """The next piece of a connection that contains `mark`, with all that follows on it."""

    mark: bytes
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has received it."""
    answer: bytes = b""
    """The first bytes of the server's answer, whether or not a client was there to receive it."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class HoldingProxy:
    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._holds: list[HeldRequest] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._clients: set[StreamWriter] = set()
        self.port = 0
        self._reachable = asyncio.Event()
        self._reachable.set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def hold(self, mark: bytes) -> HeldRequest:
        """Hold the next request that contains these bytes."""
        held = HeldRequest(mark)
        self._holds.append(held)
        return held

    def cut(self) -> None:
        """Disconnect every client."""
        for client in self._clients:
            client.transport.abort()

    def partition(self) -> None:
        """Forward nothing more, in neither direction, until `heal`."""
        self._reachable.clear()

    def heal(self) -> None:
        self._reachable.set()

    async def accept(self, reader: StreamReader, client: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._clients.add(client)
        try:
            await self._carry(reader, client)
        except OSError:
            pass  # one end was cut
        finally:
            self._connections.discard(task)
            self._clients.discard(client)
            client.transport.abort()

    async def close(self) -> None:
        for held in self._holds:
            held.released.set()
        for task in tuple(self._connections):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _carry(self, reader: StreamReader, client: StreamWriter) -> None:
        answers, server = await asyncio.open_connection(*self._target)
        asked: list[HeldRequest] = []
        down = asyncio.create_task(self._down(answers, client, asked))
        try:
            with suppress(ConnectionError):
                await self._up(reader, server, asked)
            if asked:
                await asked[-1].answered.wait()
        finally:
            down.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await down
            server.transport.abort()

    async def _up(
        self, reader: StreamReader, server: StreamWriter, asked: list[HeldRequest]
    ) -> None:
        while data := await reader.read(CHUNK_BYTES_MAX):
            held = next((each for each in self._holds if each.mark in data), None)
            if held is not None:
                self._holds.remove(held)
                data += await self._rest(reader)
                held.arrived.set()
                await held.released.wait()
                asked.append(held)
            await self._reachable.wait()
            server.write(data)
            await server.drain()
            if held is not None:
                held.delivered.set()

    async def _rest(self, reader: StreamReader) -> bytes:
        """The body of a request that is sent apart from its head."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                return await reader.read(CHUNK_BYTES_MAX)
        return b""

    async def _down(
        self, answers: StreamReader, client: StreamWriter, asked: list[HeldRequest]
    ) -> None:
        while data := await answers.read(CHUNK_BYTES_MAX):
            await self._reachable.wait()
            for held in asked:
                held.answer += data
                held.answered.set()
            with suppress(OSError):
                client.write(data)
                await client.drain()
        for held in asked:
            held.answered.set()
        client.transport.abort()


@asynccontextmanager
async def holding_proxy(host: str, port: int) -> AsyncIterator[HoldingProxy]:
    """A proxy on a free port in front of a server."""
    proxy = HoldingProxy(host, port)
    server = await asyncio.start_server(proxy.accept, HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
