"""A wire between clients and NATS that loses, or delays, what a test wants lost."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES_MAX = 1 << 16
AN_APPEND = b"HPUB seca."
"""How an append begins as it travels."""
ITS_ANSWER = b'"stream":"'
"""What every answer to an append holds, good or bad, and nothing else."""


@dataclass
class Wire:
    """Everything passes until a test asks for a fault; each fault happens once."""

    url: str
    lose_next_answer: bool = False
    """The next append arrives; from then on its connection brings nothing back."""
    hold_next_append: bool = False
    """The next append stays on the way, and its client is cut off, until `arrive` is set."""
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    arrive: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """The server has answered the append that a fault befell; nobody hears it."""
    _ends: set[StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Every client loses its connection, and whatever was on its way to it."""
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: StreamReader, client: StreamWriter) -> None:
        there = urlsplit(self.url)
        answers, server = await asyncio.open_connection(there.hostname, there.port)
        self._ends |= {client}
        deaf = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                down = group.create_task(self._down(answers, client, deaf))
                await self._up(reader, client, server, deaf)
                down.cancel()
        except* OSError:
            pass  # one end was cut
        finally:
            self._ends -= {client}
            client.transport.abort()
            server.transport.abort()

    async def _up(
        self, reader: StreamReader, client: StreamWriter, server: StreamWriter, deaf: asyncio.Event
    ) -> None:
        while data := await reader.read(CHUNK_BYTES_MAX):
            held = self.hold_next_append and AN_APPEND in data
            if held:
                self.hold_next_append = False
                deaf.set()
                client.transport.abort()
                self.happened.set()
                await self.arrive.wait()
            elif self.lose_next_answer and AN_APPEND in data:
                self.lose_next_answer = False
                deaf.set()
                self.happened.set()
            server.write(data)
            await server.drain()
            if held:
                await self.answered.wait()
                return

    async def _down(self, answers: StreamReader, client: StreamWriter, deaf: asyncio.Event) -> None:
        while data := await answers.read(CHUNK_BYTES_MAX):
            if not deaf.is_set():
                client.write(data)
                await client.drain()
            elif ITS_ANSWER in data:
                self.answered.set()
        client.transport.abort()


@asynccontextmanager
async def lossy(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire to a server, and the URL at its near end."""
    wire, there = Wire(url), urlsplit(url)
    async with asyncio.TaskGroup() as group:
        server = await asyncio.start_server(
            lambda reader, writer: group.create_task(wire.carry(reader, writer)) and None,
            "127.0.0.1",
            0,
        )
        port = server.sockets[0].getsockname()[1]
        user = f"{there.username}:{there.password}@" if there.username else ""
        try:
            yield wire, urlunsplit(there._replace(netloc=f"{user}127.0.0.1:{port}"))
        finally:
            server.close()
            wire.arrive.set()
            wire.answered.set()
            wire.cut()
