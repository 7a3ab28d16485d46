"""Announcements of the projectors' progress over core NATS.

An announcement may be lost, so it is repeated: after every commit, and every quarter of a second.
There is one subject for each stream and read model.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from secaplane.model.position import Position, position
from secaplane.readmodel.progress import Progress

ANNOUNCE_EVERY_S = 0.25
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


def subject(stream: str, read_model: str) -> str:
    return f"secaplane.progress.{stream}.{read_model}"


class Announcer:
    """The projector's side: announces how far one read model is in one stream."""

    def __init__(self, nats: Client, *, stream: str, read_model: str) -> None:
        self._nats, self._subject = nats, subject(stream, read_model)

    async def announce(self, reached: Position) -> None:
        with suppress(*_UNREACHABLE):
            await self._nats.publish(self._subject, str(reached.sequence).encode())


class _Switch(NamedTuple):
    """A switch to another read model that waits until that one is not behind."""

    read_model: str
    reached: dict[str, Position]
    then: Callable[[], None]
    switched: asyncio.Future[None]


class Announcements:
    """The readers' side: passes announcements of one read model on to a `Progress`."""

    def __init__(self, nats: Client, progress: Progress, *, streams: Sequence[str]) -> None:
        self._nats, self._progress, self._streams = nats, progress, streams
        self._read_model = ""
        self._subscriptions: list[Subscription] = []
        self._switch: _Switch | None = None

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
            await self._nats.subscribe(subject(stream, read_model), cb=self._announced)
            for stream in self._streams
        ]

    async def _announced(self, message: Msg) -> None:
        _, _, stream, read_model = message.subject.split(".")
        reached = position(stream, int(message.data))
        switch = self._switch
        if switch is not None and switch.read_model == read_model:
            switch.reached[stream] = reached
            if all(self._not_behind(switch, each) for each in self._streams):
                self._switch, self._read_model = None, read_model
                switch.then()
                switch.switched.set_result(None)
                for each in switch.reached.values():
                    self._progress.announce(each)
                return
        if read_model == self._read_model:
            self._progress.announce(reached)

    def _not_behind(self, switch: _Switch, stream: str) -> bool:
        return stream in switch.reached and switch.reached[stream] >= self._progress.position(
            stream
        )
