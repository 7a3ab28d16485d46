"""Readers, announced over core NATS to the processes that accept writes.

A write that its own replica shows is not news for readers of the same rows, and nothing is sent.
Readers of another replica, or of a streaming replica of PostgreSQL, may be behind it: while there
are any, each write is acknowledged to them before it is answered (`readmodel.acknowledgements`).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.readmodel.schema.replica import PresentReplica

PRESENT_EVERY_S = 1.0
FORGOTTEN_S = 5.0
"""A reader that was silent for longer is gone."""
UNKNOWN_S = 3 * PRESENT_EVERY_S
"""For as long after its start a process does not know all readers, and assumes some elsewhere."""
SUBJECT = "secaplane.readers"
ASKED = "secaplane.acknowledged.readers.asked"
"""A process that accepts writes asks who reads, at its start."""
_LEAVES = "leaves"
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


class ReaderPresence:
    """The reader's side. `reader` is an id of this process."""

    def __init__(self, nats: Client, present: PresentReplica, reader: str) -> None:
        self._nats, self._present, self._reader = nats, present, reader

    async def announce(self, *more: str) -> None:
        (name, replica_id), streaming = self._present.identity, self._present.streaming
        data = " ".join([replica_id, f"{streaming:d}", self._reader, *more])
        with suppress(*_UNREACHABLE):
            await self._nats.publish(f"{SUBJECT}.{name}", data.encode())

    async def listen(self) -> None:
        async def asked(message: Msg) -> None:
            await self.announce()

        await self._nats.subscribe(ASKED, cb=asked)

    async def run(self) -> None:
        """Until this process ends: then writers no longer wait for it."""
        try:
            while True:
                await self.announce()
                await asyncio.sleep(PRESENT_EVERY_S)
        finally:
            await self.announce(_LEAVES)


class _Seen(NamedTuple):
    replica: tuple[str, bool]
    """Replica id, and whether it is a streaming replica."""
    at: float


class Readers:
    """The writer's side."""

    def __init__(
        self, present: PresentReplica, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._present, self._clock = present, clock
        self._began = clock()
        self._seen: dict[str, _Seen] = {}
        """By the id of the reader: its last notice."""
        self.on_leave: Callable[[str], None] = lambda reader: None

    @property
    def elsewhere(self) -> bool:
        """True where rows may be read that are behind those of this process."""
        if self._clock() - self._began < UNKNOWN_S:
            return True
        return bool(self.present(elsewhere=True))

    def present(self, *, elsewhere: bool) -> frozenset[str]:
        """All readers, or those of other rows than this process's."""
        now, own = self._clock(), (self._present.identity.id, False)
        return frozenset(
            reader
            for reader, seen in self._seen.items()
            if now - seen.at < FORGOTTEN_S and not (elsewhere and seen.replica == own)
        )

    def seen(self, reader: str, replica_id: str, *, streaming: bool) -> None:
        now = self._clock()
        if reader not in self._seen:
            self._seen = {
                each: seen for each, seen in self._seen.items() if now - seen.at < FORGOTTEN_S
            }
        self._seen[reader] = _Seen((replica_id, streaming), now)

    def left(self, reader: str) -> None:
        self._seen.pop(reader, None)
        self.on_leave(reader)

    async def listen(self, nats: Client) -> None:
        async def announced(message: Msg) -> None:
            replica_id, streaming, *named = message.data.decode().split(" ")
            if not named:
                return  # of a former release, which confirms nothing
            reader, *more = named
            if _LEAVES in more:
                self.left(reader)
            else:
                self.seen(reader, replica_id, streaming=streaming == "1")

        await nats.subscribe(f"{SUBJECT}.*", cb=announced)
        with suppress(*_UNREACHABLE):
            await nats.publish(ASKED, b"")
