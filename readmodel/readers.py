"""Readers of other databases, announced over core NATS to the processes that accept writes.

A write that its own replica shows is not news for readers of the same rows, and nothing is sent.
Readers of another replica, or of a streaming replica of PostgreSQL, may be behind it: while there
are any, each write is acknowledged to them before it is answered (`readmodel.acknowledgements`).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.readmodel.schema.replica import PresentReplica

PRESENT_EVERY_S = 1.0
FORGOTTEN_S = 10.0
"""A reader that was silent for longer is gone."""
UNKNOWN_S = 3 * PRESENT_EVERY_S
"""For as long after its start a process does not know all readers, and assumes some elsewhere."""
SUBJECT = "secaplane.readers"
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


class ReaderPresence:
    """The reader's side."""

    def __init__(self, nats: Client, present: PresentReplica) -> None:
        self._nats, self._present = nats, present

    async def announce(self) -> None:
        (name, replica_id), streaming = self._present.identity, self._present.streaming
        with suppress(*_UNREACHABLE):
            await self._nats.publish(f"{SUBJECT}.{name}", f"{replica_id} {streaming:d}".encode())

    async def run(self) -> None:
        while True:
            await self.announce()
            await asyncio.sleep(PRESENT_EVERY_S)


class Readers:
    """The writer's side."""

    def __init__(
        self, present: PresentReplica, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._present, self._clock = present, clock
        self._began = clock()
        self._seen: dict[tuple[str, bool], float] = {}
        """By replica id, and whether it is a streaming replica: the time of the last notice."""

    @property
    def elsewhere(self) -> bool:
        """True where rows may be read that are behind those of this process."""
        now, own = self._clock(), (self._present.identity.id, False)
        if now - self._began < UNKNOWN_S:
            return True
        return any(each != own and now - at < FORGOTTEN_S for each, at in self._seen.items())

    def seen(self, replica_id: str, *, streaming: bool) -> None:
        now = self._clock()
        self._seen = {each: at for each, at in self._seen.items() if now - at < FORGOTTEN_S}
        self._seen[replica_id, streaming] = now

    async def listen(self, nats: Client) -> None:
        async def announced(message: Msg) -> None:
            replica_id, _, streaming = message.data.decode().partition(" ")
            self.seen(replica_id, streaming=streaming == "1")

        await nats.subscribe(f"{SUBJECT}.*", cb=announced)
