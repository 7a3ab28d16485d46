"""The log on NATS JetStream: one stream, one subject for each resource; the only file that knows.

What JetStream promises and what it does not stands in docs/jetstream.md. In short: appends expect a
last sequence, questions about the last position go to the stream's leader, histories are read by
batched direct gets, and followers pull by stream sequence and are told of every gap.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.codec import NewEvent, Undecodable, decode, encode
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream_api import (
    ANSWER_S_MAX,
    PREPARE_S_MAX,
    ServerError,
    asked,
    direct_batch,
    json,
)
from secaplane.eventlog.log import (
    Followed,
    LogUnavailable,
    PrefixExpectation,
    UndecodableEvent,
    VersionConflict,
)
from secaplane.eventlog.subjects import ALL_SUBJECTS, every, prefix, ref, subject
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import BEGINNING, Position, Ref

PUBLISH_S_MAX = 1.5
FOLLOW_BATCH_MAX = 1000
QUIET_S = 1.0
"""How long a follower's request stays open at the server while nothing happens: as long again, and
it notices that the server was started anew and has forgotten it."""
FORGOTTEN_S = 30.0
WRONG_LAST_SEQUENCE = (10071, 10164)
NO_MESSAGE_FOUND = 10037
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_OF = "Nats-Expected-Last-Subject-Sequence-Subject"
ACK_TOKENS = 9
"""In a reply subject without domain and account; with them the sequence stands two later."""
PAYLOAD_BYTES_MIN = 4 * 1024 * 1024


UNREACHED: tuple[type[Exception], ...] = (LogUnavailable, *CONNECTION_ERRORS)


class _Message(msgspec.Struct, frozen=True):
    seq: int
    data: bytes = b""
    hdrs: bytes = b""


class _Answer(msgspec.Struct, frozen=True):
    """The parts of a JetStream answer that somebody here looks at."""

    error: ServerError | None = None
    seq: int = 0
    message: _Message | None = None
    name: str = ""


_answer = msgspec.json.Decoder(_Answer).decode


class JetStreamLog:
    """The log of one region; `stream` names the stream that holds it.

    The client must have been connected with `pending_size=0`, so that nothing is buffered through a
    reconnect and delivered later.
    """

    def __init__(self, nats: Client, *, stream: str, region: str) -> None:
        self._nats, self._stream, self._region = nats, stream, region
        self._get = f"$JS.API.STREAM.MSG.GET.{stream}"
        self._direct = f"$JS.API.DIRECT.GET.{stream}"
        self._ask = partial(asked, nats, _answer)

    async def prepare(self, *, replicas: int = 1) -> None:
        """Make the stream, or leave the one that is there; history cannot be taken from it.

        Raises:
            ValueError: the server would refuse an event of the size the house allows.
        """
        if self._nats.max_payload < PAYLOAD_BYTES_MIN:
            raise ValueError(
                f"NATS allows {self._nats.max_payload} bytes a message; set max_payload to at "
                f"least {PAYLOAD_BYTES_MIN}"
            )
        if await self.exists():
            return
        config = {
            "name": self._stream,
            "subjects": [ALL_SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "num_replicas": replicas,
            "allow_direct": True,
            "allow_atomic": True,
            "deny_delete": True,
            "deny_purge": True,
        }
        made = await self._ask(
            f"$JS.API.STREAM.CREATE.{self._stream}", json(config), seconds=PREPARE_S_MAX
        )
        if made.error is not None:
            raise LogUnavailable(made.error.description)

    async def exists(self) -> bool:
        """Whether somebody has prepared it."""
        known = await self._ask(f"$JS.API.STREAM.INFO.{self._stream}", b"")
        return known.error is None

    async def append(
        self, new_event: NewEvent, *, after: Position, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        headers = {EXPECTED: str(expectation.after if expectation else after)}
        if expectation is not None:
            around = prefix(expectation.around, self._region)
            headers[EXPECTED_OF] = around
        address = subject(new_event.ref, self._region)
        answer = await self._ask(address, encode(new_event), seconds=PUBLISH_S_MAX, headers=headers)
        if answer.error is None:
            return new_event.at(Position(answer.seq), None if expectation else after)
        if answer.error.err_code in WRONG_LAST_SEQUENCE:
            raise VersionConflict
        raise LogUnavailable(answer.error.description)

    async def last(self, ref: Ref) -> Position:
        return await self._last(subject(ref, self._region))

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        message = await self._last_message(subject(ref, self._region))
        if message is None:
            return None
        return decode(message.data, Position(message.seq), _before_raw(message.hdrs))

    async def last_within(self, ref: Ref) -> Position:
        return await self._last(prefix(ref, self._region))

    async def last_of(self, kind: str) -> Position:
        return await self._last(every(kind, self._region))

    async def end(self) -> Position:
        return await self._last(ALL_SUBJECTS)

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        end = await self.last(ref) if up_to is None else up_to
        return await self._read(subject(ref, self._region), after, end)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[RecordedEvent, ...]:
        return await self._read(prefix(ref, self._region), after, up_to)

    async def touched(self, kind: str, *, after: Position, up_to: Position) -> frozenset[Ref]:
        found = await self._messages(every(kind, self._region), after, up_to)
        return frozenset(_address((message.headers or {})["Nats-Subject"]) for message in found)

    async def follow(self, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        """Pulls by stream sequence from a consumer that can be thrown away: when it or the server
        goes, the next one begins after the last event that was handed over."""
        while True:
            try:
                async with contextlib.aclosing(self._pulled(after)) as batches:
                    async for batch in batches:
                        if batch:
                            after = batch[-1].position
                        yield batch
            except UNREACHED:
                yield ()
                await asyncio.sleep(0.2)

    async def _last(self, address: str) -> Position:
        message = await self._last_message(address)
        return BEGINNING if message is None else Position(message.seq)

    async def _last_message(self, address: str) -> _Message | None:
        answer = await self._ask(self._get, json({"last_by_subj": address}))
        if answer.message is not None:
            return answer.message
        if answer.error is not None and answer.error.err_code == NO_MESSAGE_FOUND:
            return None
        raise LogUnavailable(
            answer.error.description if answer.error else "no message in the answer"
        )

    async def _read(
        self, address: str, after: Position, up_to: Position
    ) -> tuple[RecordedEvent, ...]:
        found = await self._messages(address, after, up_to)
        return tuple(
            decode(message.data, _sequence(message), _before(message.headers or {}))
            for message in found
        )

    async def _messages(self, address: str, after: Position, up_to: Position) -> list[Msg]:
        """A direct get may be answered by a replica that lags behind the leader who named `up_to`:
        what is missing is asked for again until it is there, or the time is up."""
        messages: list[Msg] = []
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                while after < up_to:
                    question = {"seq": after + 1, "next_by_subj": address}
                    found, _ = await direct_batch(self._nats, self._direct, question)
                    if not found:
                        await asyncio.sleep(0.01)
                    for message in found:
                        after = _sequence(message)
                        if after <= up_to:
                            messages.append(message)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(f"history up to {up_to} was not read") from error
        return messages

    async def _pulled(self, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        consumer = await self._consumer(after)
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self._nats.new_inbox()
        answers = await self._nats.subscribe(inbox, cb=arrived.put, pending_bytes_limit=-1)
        following = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        question = json({"batch": FOLLOW_BATCH_MAX, "expires": int(QUIET_S * 1e9)})
        try:
            while True:
                await self._nats.publish(following, question, reply=inbox)
                left, over = FOLLOW_BATCH_MAX, False
                while left and not over:
                    batch, over = await self._arrivals(arrived)
                    left -= len(batch)
                    yield batch
        finally:
            with contextlib.suppress(
                *CONNECTION_ERRORS,
            ):
                await answers.unsubscribe()

    async def _arrivals(self, arrived: asyncio.Queue[Msg]) -> tuple[list[Followed], bool]:
        """Whatever is there, at least one message; and whether the server closed the request."""
        try:
            async with asyncio.timeout(QUIET_S + 1):
                messages = [await arrived.get()]
        except TimeoutError as error:
            raise LogUnavailable("the follower's request was forgotten") from error
        while not arrived.empty():
            messages.append(arrived.get_nowait())
        batch: list[Followed] = []
        for message in messages:
            if not message.data and (status := (message.headers or {}).get("Status")):
                if status not in ("404", "408"):
                    raise LogUnavailable(f"the follower's request ended with {status}")
                return batch, True
            batch.append(_followed(message))
        return batch, False

    async def _consumer(self, after: Position) -> str:
        config = {
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(FORGOTTEN_S * 1e9),
        }
        question = json({"stream_name": self._stream, "config": config})
        answer = await self._ask(f"$JS.API.CONSUMER.CREATE.{self._stream}", question)
        if not answer.name:
            raise LogUnavailable(answer.error.description if answer.error else "no consumer")
        return answer.name


def _sequence(message: Msg) -> Position:
    return Position(int((message.headers or {})["Nats-Sequence"]))


def _before(headers: Mapping[str, str]) -> Position | None:
    """What the append expected is what was there; unless it expected it of a whole prefix."""
    expected = headers.get(EXPECTED)
    return None if expected is None or EXPECTED_OF in headers else Position(int(expected))


def _before_raw(headers: bytes) -> Position | None:
    """The same, from headers as the leader's answer holds them."""
    lines = (line.partition(":") for line in headers.decode("latin-1").split("\r\n"))
    return _before({name: value.strip() for name, _, value in lines})


def _followed(message: Msg) -> Followed:
    tokens = message.reply.split(".")
    position = Position(int(tokens[5] if len(tokens) == ACK_TOKENS else tokens[7]))
    try:
        return decode(message.data, position, _before(message.headers or {}))
    except Undecodable as reason:
        return UndecodableEvent(_address(message.subject), position, str(reason))


def _address(subject: str) -> Ref:
    """Also of what was put where no resource can lie."""
    try:
        return ref(subject)
    except ValueError:
        return Ref("", subject)
