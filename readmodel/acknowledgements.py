"""Writes that were answered before the rows reached them, announced over core NATS to every process
that reads. While the projector keeps up and all readers read the same database, there are none.

The message may be lost: a process also learns the end of the log once a second
(`cli.processes.health`), and a resource without a row is looked up in the log in any case.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.model.position import Position, position
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.readers import Readers

DELIVERED_S_MAX = 0.2
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


class Acknowledgements:
    def __init__(self, nats: Client, progress: Progress, readers: Readers) -> None:
        self._nats, self._progress, self.readers = nats, progress, readers

    async def publish(self, tenants: Sequence[str], positions: Sequence[Position]) -> None:
        """Let this process know at once, and the others before the write is answered. `tenants`:
        those whose lists show the write."""
        acknowledged = [(tenant, each) for tenant in tenants for each in positions]
        for tenant, each in acknowledged:
            self._progress.acknowledge(each, tenant)
        with suppress(*_UNREACHABLE):
            for tenant, each in acknowledged:
                data = f"{each.sequence} {tenant}".encode()
                await self._nats.publish(_subject(each.stream), data)
            async with asyncio.timeout(DELIVERED_S_MAX):
                await self._nats.flush()

    async def listen(self, streams: Sequence[str]) -> None:
        for stream in streams:
            await self._nats.subscribe(_subject(stream), cb=self._acknowledged)

    async def _acknowledged(self, message: Msg) -> None:
        sequence, _, tenant = message.data.decode().partition(" ")
        stream = message.subject.rpartition(".")[2]
        self._progress.acknowledge(position(stream, int(sequence)), tenant)


def _subject(stream: str) -> str:
    return f"secaplane.acknowledged.{stream}"
