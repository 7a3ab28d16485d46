"""The client of NATS, with two faults of nats-py 2 mended: after them it stayed connected and read
nothing, until unanswered pings ended the connection 10 to 20 s later."""

import asyncio

from nats.aio.client import Client


class ReadingEnded(Exception):
    """The client no longer reads, although it is connected."""


class NatsConnection(Client):
    """A client that reads as long as it is connected."""

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
