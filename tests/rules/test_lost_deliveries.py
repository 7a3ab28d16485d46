"""A follower whose connection broke while messages were on their way gets them again: a consumer on
another server goes on behind them, and the log must not seem to have a gap."""

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

from nats.aio.client import Client

from secaplane.eventlog.jetstream.follow import follow_raw
from secaplane.model.position import Position

STREAM, SUBJECT = "S", "seca.a"


class LossyServer:
    """Sends the messages from a position on, without some that a broken connection lost; the
    consumer counts them as delivered."""

    def __init__(self, end: int, lost: set[int]) -> None:
        self._end, self._lost = end, lost
        self._from = self._delivered = 0
        self.started: list[int] = []

    async def create(self, subject: str, question: bytes) -> str:
        self._from = json.loads(question)["config"]["opt_start_seq"]
        self.started.append(self._from)
        self._delivered = 0
        return f"c{len(self.started)}"

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def subscribe(self, subject: str, cb: Callable[[Any], Awaitable[None]], **_: Any) -> Any:
        self._deliver = cb

        async def unsubscribe() -> None: ...

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(self, subject: str, pull: bytes, reply: str) -> None:
        for sequence in range(self._from, self._end + 1):
            self._delivered += 1
            if sequence in self._lost:
                self._lost.remove(sequence)
                continue
            ack = f"$JS.ACK.{STREAM}.c.1.{sequence}.{self._delivered}.0.0"
            message = {"subject": SUBJECT, "reply": ack, "headers": None, "data": b"x"}
            await self._deliver(SimpleNamespace(**message))


async def followed(server: LossyServer, number: int) -> list[int]:
    """The sequences of the first messages that the follower hands over."""
    nats = cast(Client, server)
    found: list[int] = []
    events = follow_raw(nats, STREAM, server.create, after=Position(STREAM, 0))
    async with aclosing(events) as batches:
        async for batch in batches:
            found += [event.position.sequence for event in batch]
            if len(found) >= number:
                return found
    return found


async def test_messages_that_were_lost_on_their_way_are_delivered_again() -> None:
    server = LossyServer(5, lost={2, 3})
    assert await followed(server, 5) == [1, 2, 3, 4, 5]
    assert server.started in ([1, 1], [1, 2])


async def test_the_first_message_of_a_consumer_may_be_lost_too() -> None:
    server = LossyServer(3, lost={1})
    assert await followed(server, 3) == [1, 2, 3]


async def test_nothing_is_asked_again_where_nothing_was_lost() -> None:
    server = LossyServer(5, lost=set())
    assert await followed(server, 5) == [1, 2, 3, 4, 5]
    assert server.started == [1]
