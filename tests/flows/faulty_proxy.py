"""A TCP proxy between clients and NATS that loses an answer, or delays an append, on request."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES_MAX = 1 << 16
APPEND_PREFIX = b"HPUB seca."
"""The first bytes of an append in the NATS protocol."""
ANSWER_MARK = b'"stream":"'
"""Contained in every answer to an append, accepted or refused, and in no other message."""


@dataclass
class FaultyProxy:
    """Forwards everything until a test asks for a fault; each fault happens once."""

    url: str
    lose_next_answer: bool = False
    """Forward the next append; from then on its connection returns nothing to the client."""
    hold_next_append: bool = False
    """Hold the next append back and disconnect its client; forward it once `arrive` is set."""
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    arrive: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """The server has answered the append with the fault; the client does not get that answer."""
    _clients: set[StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Disconnect every client; data on its way to them is lost."""
        for end in self._clients:
            end.transport.abort()

    async def carry(self, reader: StreamReader, client: StreamWriter) -> None:
        target = urlsplit(self.url)
        answers, server = await asyncio.open_connection(target.hostname, target.port)
        self._clients |= {client}
        silenced = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                down = group.create_task(self._down(answers, client, silenced))
                await self._up(reader, client, server, silenced)
                down.cancel()
        except* OSError:
            pass  # one end was cut
        finally:
            self._clients -= {client}
            client.transport.abort()
            server.transport.abort()

    async def _up(
        self,
        reader: StreamReader,
        client: StreamWriter,
        server: StreamWriter,
        silenced: asyncio.Event,
    ) -> None:
        while data := await reader.read(CHUNK_BYTES_MAX):
            hold = self.hold_next_append and APPEND_PREFIX in data
            if hold:
                self.hold_next_append = False
                silenced.set()
                client.transport.abort()
                self.happened.set()
                await self.arrive.wait()
            elif self.lose_next_answer and APPEND_PREFIX in data:
                self.lose_next_answer = False
                silenced.set()
                self.happened.set()
            server.write(data)
            await server.drain()
            if hold:
                await self.answered.wait()
                return

    async def _down(
        self, answers: StreamReader, client: StreamWriter, silenced: asyncio.Event
    ) -> None:
        while data := await answers.read(CHUNK_BYTES_MAX):
            if not silenced.is_set():
                client.write(data)
                await client.drain()
            elif ANSWER_MARK in data:
                self.answered.set()
        client.transport.abort()


@asynccontextmanager
async def faulty_proxy(url: str) -> AsyncIterator[tuple[FaultyProxy, str]]:
    """The proxy in front of a server, and the URL that clients connect to instead."""
    proxy, target = FaultyProxy(url), urlsplit(url)
    async with asyncio.TaskGroup() as group:
        server = await asyncio.start_server(
            lambda reader, writer: group.create_task(proxy.carry(reader, writer)) and None,
            "127.0.0.1",
            0,
        )
        port = server.sockets[0].getsockname()[1]
        user = f"{target.username}:{target.password}@" if target.username else ""
        try:
            yield proxy, urlunsplit(target._replace(netloc=f"{user}127.0.0.1:{port}"))
        finally:
            server.close()
            proxy.arrive.set()
            proxy.answered.set()
            proxy.cut()
