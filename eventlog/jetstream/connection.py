"""The client of NATS, with four faults of nats-py 2 mended.

After two of them it stayed connected and read nothing, until unanswered pings ended the connection
10 to 20 s later. Servers that a cluster announces were asked without the user, and refused it; and
an attempt to reconnect that was refused left its connection open.
"""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client, Srv


class ReadingEnded(Exception):
    """The client no longer reads, although it is connected."""


class NatsConnection(Client):
    """A client that reads as long as it is connected, and is one user at all servers."""

    async def connect(
        self, servers: str | list[str] = "nats://localhost:4222", *arguments: Any, **options: Any
    ) -> None:
        """The user of the first server is that of all."""
        first = urlsplit(servers if isinstance(servers, str) else servers[0])
        if first.username and first.password:
            options |= {"user": first.username, "password": first.password}
        await super().connect(servers, *arguments, **options)

    async def _connect_to_server(self, s: Srv) -> None:
        """The parent forgets the connection of an attempt that a server refused."""
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    async def _process_pong(self) -> None:
        """A PONG for a flush that its caller has given up, for instance after a timeout, is no
        error: the parent would set the result of a cancelled future, and stop reading."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _read_loop(self) -> None:
        """Reconnects when reading has ended for any reason that the parent only logs."""
        await super()._read_loop()
        reading = asyncio.current_task()
        if self.is_connected and reading is not None and not reading.cancelling():
            await self._process_op_err(ReadingEnded())
