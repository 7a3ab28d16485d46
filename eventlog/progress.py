""" "The read model has reached position n": announced by the projector, awaited by writers and
readers.

Over core NATS, because it is no fact and may be lost: it is announced after every commit and again
every quarter of a second.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventlog.lost import LOST
from model.shape import NOWHERE, Position

ANNOUNCE_EVERY_S = 0.25
REACHED_S_MAX = 2.0


def subject(stream: str, read_model: str) -> str:
    return f"secaplane.progress.{stream}.{read_model}"


class Announcer:
    """The projector's side."""

    def __init__(self, nats: Client, *, stream: str, read_model: str) -> None:
        self._nats, self._subject = nats, subject(stream, read_model)

    async def announce(self, position: Position) -> None:
        with suppress(*LOST):
            await self._nats.publish(self._subject, str(position).encode())


class Progress:
    """How far the read model is, as far as this process has heard."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.position = NOWHERE
        self._clock = clock
        self._heard_at = clock()
        self._silent = False
        self._order = count()
        self._waiting: list[tuple[Position, int, asyncio.Future[None]]] = []

    async def listen(self, nats: Client, *, stream: str, read_model: str) -> None:
        await nats.subscribe(subject(stream, read_model), cb=self._heard)

    def heard(self, position: Position) -> None:
        self._silent, self._heard_at = False, self._clock()
        self.position = position  # may go back: a crashed database forgets its last moments
        while self._waiting and self._waiting[0][0] <= self.position:
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                waiter.set_result(None)

    @property
    def silent_s(self) -> float:
        """Seconds since the projector was last heard."""
        return self._clock() - self._heard_at

    async def reached(
        self,
        position: Position,
        *,
        seconds: float = REACHED_S_MAX,
        patient: bool = False,
    ) -> bool:
        """Wait until the read model has reached a position; False when it has not in time.

        After one time-out nobody waits until something is heard again, unless `patient`: a dead
        projector must not make every write slow.
        """
        if self.position >= position:
            return True
        if self._silent and not patient:
            return False
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), waiter))
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            self._silent = True
            return False
        return True

    async def _heard(self, message: Msg) -> None:
        self.heard(Position(int(message.data)))
