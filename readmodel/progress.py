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
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.model.shape import BEGINNING, Position

ANNOUNCE_EVERY_S = 0.25
REACHED_S_MAX = 2.0


def subject(stream: str, read_model: str) -> str:
    return f"secaplane.progress.{stream}.{read_model}"


class Announcer:
    """The projector's side."""

    def __init__(self, nats: Client, *, stream: str, read_model: str) -> None:
        self._nats, self._subject = nats, subject(stream, read_model)

    async def announce(self, position: Position) -> None:
        with suppress(*CONNECTION_ERRORS):
            await self._nats.publish(self._subject, str(position).encode())


class _Turning(NamedTuple):
    """To which read model, and what happens in the moment of turning."""

    read_model: str
    then: Callable[[], None]
    turned: asyncio.Future[None]


class Progress:
    """How far the read model is, as far as this process has heard."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.position = BEGINNING
        self._clock = clock
        self._heard_at = clock()
        self._silent = False
        self._order = count()
        self._waiting: list[tuple[Position, int, asyncio.Future[None]]] = []
        self._read_model = ""
        self._listening: Subscription
        self._turning: _Turning | None = None

    async def listen(self, nats: Client, *, stream: str, read_model: str) -> None:
        self._read_model = read_model
        self._listening = await nats.subscribe(subject(stream, read_model), cb=self._heard)

    async def turn(
        self, nats: Client, *, stream: str, read_model: str, then: Callable[[], None]
    ) -> None:
        """Listen to another read model, from the moment on at which it is not behind this one:
        what somebody was told can be read stays readable. `then` is called in that moment."""
        turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turning = _Turning(read_model, then, turned)
        former, later = self._listening, None
        try:
            later = await nats.subscribe(subject(stream, read_model), cb=self._heard)
            await turned
        finally:
            self._turning = None
            if self._read_model == read_model and later is not None:
                self._listening, later = later, former
            if later is not None:
                with suppress(*CONNECTION_ERRORS):
                    await later.unsubscribe()

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
        position, read_model = Position(int(message.data)), message.subject.rpartition(".")[2]
        turning = self._turning
        if turning and turning.read_model == read_model and position >= self.position:
            self._turning, self._read_model = None, read_model
            turning.then()
            turning.turned.set_result(None)
        if read_model == self._read_model:
            self.heard(position)
