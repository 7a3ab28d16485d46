"""Announcements of the projectors' progress over core NATS.

An announcement may be lost, so it is repeated: after every commit, and every quarter of a second.
There is one subject for each stream, replica and read model; the text names the replica's id and
the projector, too, because an operator may give one name to two databases.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from secaplane.model.position import Position, position
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.schema.replica import PresentReplica, Replica

ANNOUNCE_EVERY_S = 0.25
FOREIGN_S = 10.0
"""Seconds for which a foreign announcement is remarked."""
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


def subject(stream: str, replica: str, read_model: str) -> str:
    return f"secaplane.progress.{stream}.{replica}.{read_model}"


class ProgressAnnouncement(NamedTuple):
    sequence: int
    replica_id: str
    projector: str
    """A random text: two projectors may work on one read model."""
    last: bool = False
    """The projector ends."""

    @property
    def text(self) -> bytes:
        return f"{self.sequence} {self.replica_id} {self.projector} {self.last:d}".encode()

    @classmethod
    def read(cls, text: bytes) -> "ProgressAnnouncement":
        sequence, replica_id, projector, last = text.decode().split(" ")
        return cls(int(sequence), replica_id, projector, last == "1")


class Rival:
    """Another projector of the same read model, as its announcements show it."""

    def __init__(self, own: str, replica_id: str) -> None:
        self._own, self._replica_id = own, replica_id
        self._announced_at = time.monotonic()
        self.ended = asyncio.Event()

    @property
    def silent_s(self) -> float:
        """Seconds since its last announcement."""
        return time.monotonic() - self._announced_at

    async def announced(self, message: Msg) -> None:
        each = ProgressAnnouncement.read(message.data)
        if each.projector == self._own or each.replica_id != self._replica_id:
            return
        self._announced_at = time.monotonic()
        if each.last:
            self.ended.set()
        else:
            self.ended.clear()


class Announcer:
    """The projector's side: announces how far one read model is in one stream."""

    def __init__(self, nats: Client, replica: Replica, *, stream: str, read_model: str) -> None:
        self._nats, self._replica = nats, replica
        self._subject = subject(stream, replica.name, read_model)
        self._projector = secrets.token_hex(4)

    async def announce(self, reached: Position, *, last: bool = False) -> None:
        text = ProgressAnnouncement(reached.sequence, self._replica.id, self._projector, last).text
        with suppress(*_UNREACHABLE):
            await self._nats.publish(self._subject, text)

    @asynccontextmanager
    async def rival(self) -> AsyncIterator[Rival]:
        """The other projector of the read model, for as long as this one stands by."""
        rival = Rival(self._projector, self._replica.id)
        subscription: Subscription | None = None
        with suppress(*_UNREACHABLE):
            subscription = await self._nats.subscribe(self._subject, cb=rival.announced)
        try:
            yield rival
        finally:
            if subscription is not None:
                with suppress(*_UNREACHABLE):
                    await subscription.unsubscribe()


class _Switch(NamedTuple):
    """A switch to another read model that waits until that one is not behind."""

    read_model: str
    reached: dict[str, Position]
    then: Callable[[], None]
    switched: asyncio.Future[None]


class Announcements:
    """The readers' side: passes announcements of one read model on to a `Progress`.

    On a streaming replica of PostgreSQL they say how far the primary's rows are: the log has
    reached that position, and the rows here perhaps not (`readmodel.streamed`).
    """

    def __init__(
        self, nats: Client, progress: Progress, present: PresentReplica, *, streams: Sequence[str]
    ) -> None:
        self._nats, self._progress, self._streams = nats, progress, streams
        self._present = present
        self._foreign: dict[str, float] = {}
        self._read_model = ""
        self._subscriptions: list[Subscription] = []
        self._switch: _Switch | None = None

    @property
    def remarks(self) -> list[str]:
        since, name = time.monotonic() - FOREIGN_S, self._present.identity.name
        return [
            f"another database (id {each}) is announced as replica {name}, too:"
            " give it a name of its own"
            for each, at in self._foreign.items()
            if at > since
        ]

    async def listen(self, read_model: str) -> None:
        self._read_model = read_model
        self._subscriptions = await self._subscribed(read_model)

    async def switch(self, read_model: str, *, then: Callable[[], None]) -> None:
        """Switch to another read model as soon as it is behind the present one in no stream, so
        that what could be read stays readable. `then` is called at the switch.
        """
        switched: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._switch = _Switch(read_model, {}, then, switched)
        former, later = self._subscriptions, list[Subscription]()
        try:
            later = await self._subscribed(read_model)
            await switched
        finally:
            self._switch = None
            if self._read_model == read_model:
                self._subscriptions, later = later, former
            for each in later:
                with suppress(*_UNREACHABLE):
                    await each.unsubscribe()

    async def _subscribed(self, read_model: str) -> list[Subscription]:
        return [
            await self._nats.subscribe(
                subject(stream, self._present.identity.name, read_model), cb=self._announced
            )
            for stream in self._streams
        ]

    async def _announced(self, message: Msg) -> None:
        _, _, stream, _, read_model = message.subject.split(".")
        announced = ProgressAnnouncement.read(message.data)
        if announced.replica_id != self._present.identity.id:
            self._foreign = {announced.replica_id: time.monotonic()}
            return
        reached = position(stream, announced.sequence)
        switch = self._switch
        if switch is not None and switch.read_model == read_model:
            switch.reached[stream] = reached
            if all(self._not_behind(switch, each) for each in self._streams):
                self._switch, self._read_model = None, read_model
                switch.then()
                switch.switched.set_result(None)
                for each in switch.reached.values():
                    self._take(each)
                return
        if read_model == self._read_model:
            self._take(reached)

    def _take(self, reached: Position) -> None:
        if self._present.streaming:
            self._progress.know(reached)
        else:
            self._progress.announce(reached)

    def _not_behind(self, switch: _Switch, stream: str) -> bool:
        return stream in switch.reached and switch.reached[stream] >= self._progress.position(
            stream
        )
