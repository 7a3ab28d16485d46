"""A write that its rows do not show is answered when every reader has confirmed that it knows of
it, or when a reader that did not confirm no longer relies on what it was notified of."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.kinds import KINDS
from secaplane.readmodel.acknowledgements import CONFIRMED_S_MAX, Acknowledgements
from secaplane.readmodel.known_writes import ASKED_S_MAX
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.readers import ReaderPresence, Readers
from secaplane.readmodel.schema.replica import PresentReplica, Replica
from tests.positions import STREAM, nth
from tests.scenario import IDS
from tests.virtual_time import in_virtual_time

DISK = KINDS["block-storage"].ref(IDS, "one")
OWN, OTHER = Replica("default", "own"), Replica("second", "other")


@dataclass
class Broker:
    """Core NATS: delivers to every subscription, unless a test has cut a process off."""

    subscriptions: list[tuple[str, str, Callable[[Msg], Awaitable[None]]]] = field(
        default_factory=list
    )
    cut: set[str] = field(default_factory=set)

    async def deliver(self, sender: str, subject: str, data: bytes, reply: str) -> None:
        for owner, pattern, callback in list(self.subscriptions):
            if _matches(subject, pattern) and not self.cut & {sender, owner}:
                message = Msg(_client=None, subject=subject, data=data, reply=reply)  # type: ignore[arg-type]
                await callback(message)


def _matches(subject: str, pattern: str) -> bool:
    tokens, wanted = subject.split("."), pattern.split(".")
    return len(tokens) == len(wanted) and all(
        each in (token, "*") for token, each in zip(tokens, wanted, strict=True)
    )


@dataclass
class Connection:
    broker: Broker
    owner: str

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        await self.broker.deliver(self.owner, subject, data, reply)

    async def subscribe(self, subject: str, cb: Callable[[Msg], Awaitable[None]]) -> None:
        self.broker.subscriptions.append((self.owner, subject, cb))

    async def flush(self) -> None:
        pass


class Process:
    def __init__(self, broker: Broker, name: str, replica: Replica = OWN) -> None:
        connection = cast(Client, Connection(broker, name))
        self.progress, present = Progress(), PresentReplica(replica)
        clock = asyncio.get_running_loop().time
        self.acknowledgements = Acknowledgements(
            connection, self.progress, Readers(present, clock), new_id=lambda: name
        )
        self.presence = ReaderPresence(connection, present, name)

    async def reads(self) -> "Process":
        await self.acknowledgements.listen([STREAM])
        self.acknowledgements.confirm()
        await self.presence.listen()
        await self.presence.announce()
        return self

    async def writes(self) -> "Process":
        await self.acknowledgements.listen_to_readers()
        return self

    async def answers(self, sequence: int, *, elsewhere: bool = False) -> float:
        """Seconds until a write is answered."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.acknowledgements.publish(
            DISK, ["acme"], [nth(sequence)], appended_at=began, elsewhere=elsewhere
        )
        return loop.time() - began


@in_virtual_time
async def test_a_write_is_answered_when_every_reader_knows_of_it() -> None:
    broker = Broker()
    readers = [await Process(broker, name).reads() for name in ("r1", "r2")]
    writer = await Process(broker, "w").writes()  # it asks who reads
    assert await writer.answers(5) == 0
    assert all(each.progress.behind == {STREAM: nth(5)} for each in readers)
    assert all(each.progress.written(DISK, STREAM) == nth(5) for each in readers)


@in_virtual_time
async def test_a_reader_that_does_not_confirm_delays_the_answer_until_it_asks_the_log() -> None:
    broker = Broker()
    await Process(broker, "r1").reads()
    await Process(broker, "r2").reads()
    writer = await Process(broker, "w").writes()
    broker.cut.add("r2")
    assert await writer.answers(5) == pytest.approx(CONFIRMED_S_MAX)
    assert CONFIRMED_S_MAX > ASKED_S_MAX


@in_virtual_time
async def test_a_reader_that_ends_is_not_waited_for() -> None:
    broker = Broker()
    leaving = await Process(broker, "r1").reads()
    writer = await Process(broker, "w").writes()
    running = asyncio.create_task(leaving.presence.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    broker.cut.add("r1")
    assert await writer.answers(5) == 0


@in_virtual_time
async def test_a_reader_that_ends_while_it_is_waited_for_ends_the_wait() -> None:
    broker = Broker()
    await Process(broker, "r1").reads()
    writer = await Process(broker, "w").writes()
    broker.cut.add("r1")
    answering = asyncio.create_task(writer.answers(5))
    await asyncio.sleep(1)
    writer.acknowledgements.readers.left("r1")
    assert await answering == 1


@in_virtual_time
async def test_a_write_that_its_own_rows_show_waits_for_readers_of_other_rows_only() -> None:
    broker = Broker()
    await Process(broker, "same").reads()
    far = await Process(broker, "far", OTHER).reads()
    writer = await Process(broker, "w").writes()
    broker.cut.add("same")
    assert await writer.answers(5, elsewhere=True) == 0
    assert far.progress.behind == {STREAM: nth(5)}
    broker.cut.add("far")
    assert await writer.answers(6, elsewhere=True) == pytest.approx(CONFIRMED_S_MAX)


@in_virtual_time
async def test_a_process_that_reads_and_writes_does_not_wait_for_itself() -> None:
    both = await (await Process(Broker(), "both").writes()).reads()
    assert await both.answers(5) == 0
    assert both.progress.behind == {STREAM: nth(5)}


@in_virtual_time
async def test_writes_at_once_are_confirmed_each_by_its_own_message() -> None:
    broker = Broker()
    await Process(broker, "r1").reads()
    writer = await Process(broker, "w").writes()
    numbers = count(1)
    waits = await asyncio.gather(*(writer.answers(next(numbers)) for _ in range(1000)))
    assert set(waits) == {0}
    assert not writer.acknowledgements._confirmations._missing
