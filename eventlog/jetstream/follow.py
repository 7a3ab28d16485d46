"""Following a JetStream stream by sequence, with consumers that can be thrown away.

A follower pulls from an ephemeral consumer. When the consumer, or the server that holds it, is
gone, the next consumer begins after the last event that was handed over (docs/jetstream.md).

A server counts as delivered what it has sent. What was on its way when the connection broke is
lost, and the consumer, if it is on another server, goes on behind it. So each message's number in
the consumer must follow the one before; otherwise a new consumer begins after the last event. So it
does where nothing arrives for two requests although the stream has more: the newest messages were
lost, and no later one shows it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import count

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import json, request
from secaplane.eventlog.log import LogUnavailable, RawEvent
from secaplane.model.position import Position

FOLLOW_BATCH_MAX = 1000
PULL_BYTES_MAX = 4 * 1024 * 1024
"""Of the messages that one pull request brings: more than the largest event."""
BATCH_BYTES_MAX = 1024 * 1024
"""Of one batch; at least one message."""
COMPLETED = ("Message Size Exceeds MaxBytes", "Batch Completed")
"""Descriptions of the status 409 that ends a pull request whose bytes or messages are used up."""
QUIET_S = 1.0
"""Lifetime of a pull request at the server while no message arrives. A follower that gets no
answer for twice as long assumes that the server was restarted and has forgotten the request."""
PATIENCE_MAX = 32
FORGOTTEN_S = 30.0
RETRY_S = 0.2
ACK_TOKENS = 9
"""In a reply subject without domain and account; with them the sequence is two tokens later."""
UNREACHABLE: tuple[type[Exception], ...] = (LogUnavailable, *CONNECTION_ERRORS)

CreateConsumer = Callable[[str, bytes], Awaitable[str]]
"""(subject of the request, its JSON) -> the consumer's name; raises LogUnavailable."""


async def follow_raw(
    nats: Client,
    stream: str,
    create: CreateConsumer,
    *,
    after: Position,
    headers_only: bool = False,
) -> AsyncGenerator[Sequence[RawEvent], None]:
    """Every message of a stream after a position; see `Log.follow_raw`. `headers_only`: without its
    data, which the server reads and checks anyway."""
    tail = _Tail(nats, stream)
    while True:
        try:
            pulled = _pulled(nats, stream, create, _consumer(after, headers_only), tail)
            async with contextlib.aclosing(pulled) as batches:
                tail.follows(after)
                async for batch in batches:
                    if batch:
                        after = batch[-1].position
                        tail.follows(after)
                    yield batch
        except UNREACHABLE:
            yield ()
            await asyncio.sleep(RETRY_S)


class _StreamState(msgspec.Struct, frozen=True):
    last_seq: int = 0


class _DescribedStream(msgspec.Struct, frozen=True):
    state: _StreamState = _StreamState()


class _Tail:
    """The newest messages of a stream, as far as a follower should have got them."""

    def __init__(self, nats: Client, stream: str) -> None:
        self._nats, self._subject = nats, f"$JS.API.STREAM.INFO.{stream}"
        self._reached = self._awaited = self._quiet = 0
        self._patience = 1
        """Requests without a message, while the stream has more, before another consumer."""

    def follows(self, after: Position) -> None:
        if after.sequence > self._reached:
            self._patience = 1
        self._reached, self._awaited, self._quiet = after.sequence, 0, 0

    async def quiet(self) -> None:
        """A request has brought no message.

        Raises:
            LogUnavailable: neither had the one before, and the stream had more by then. More and
                more seldom: the stream may have lost its newest events.
        """
        if self._awaited > self._reached:
            self._quiet += 1
            if self._quiet >= self._patience:
                self._patience = min(2 * self._patience, PATIENCE_MAX)
                raise LogUnavailable("the newest messages for the follower were lost on their way")
        with contextlib.suppress(LogUnavailable):
            info = await request(self._nats, _decode_info, self._subject, b"")
            self._awaited = info.state.last_seq


_decode_info = msgspec.json.Decoder(_DescribedStream).decode


async def _pulled(
    nats: Client,
    stream: str,
    create: CreateConsumer,
    config: Mapping[str, object],
    tail: _Tail,
) -> AsyncGenerator[Sequence[RawEvent], None]:
    question = json({"stream_name": stream, "config": config})
    consumer = await create(f"$JS.API.CONSUMER.CREATE.{stream}", question)
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox, numbers = nats.new_inbox(), count(1)
    delivered = count(1)
    subscription = await nats.subscribe(f"{inbox}.*", cb=arrived.put, pending_bytes_limit=-1)
    pull = json(
        {
            "batch": FOLLOW_BATCH_MAX,
            "max_bytes": PULL_BYTES_MAX,
            "expires": int(QUIET_S * 1e9),
        }
    )
    try:
        while True:
            own = f"{inbox}.{next(numbers)}"
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
            await nats.publish(subject, pull, reply=own)
            left, closed = FOLLOW_BATCH_MAX, False
            while left and not closed:
                batch, closed = await _arrivals(arrived, stream, own, delivered)
                left -= len(batch)
                yield batch
            if left == FOLLOW_BATCH_MAX:
                await tail.quiet()
    finally:
        with contextlib.suppress(*CONNECTION_ERRORS):
            await subscription.unsubscribe()


async def _arrivals(
    arrived: asyncio.Queue[Msg], stream: str, own: str, delivered: Iterator[int]
) -> tuple[list[RawEvent], bool]:
    """Messages that have arrived, at least one, and not more than fit into a batch; and whether the
    server closed the request `own`. The status that closes an earlier request may come after its
    last message, and says nothing about this one."""
    batch: list[RawEvent] = []
    size = 0
    while not batch or (size < BATCH_BYTES_MAX and not arrived.empty()):
        message = await _next(arrived)
        status = "" if message.data else (message.headers or {}).get("Status", "")
        if not status:
            sequence, number = _sequences(message)
            if number != next(delivered):
                raise LogUnavailable("messages for the follower were lost on their way")
            batch.append(_raw(message, Position(stream, sequence)))
            size += len(message.data)
        elif message.subject == own:
            _refuse_failure(status, message)
            return batch, True
    return batch, False


async def _next(arrived: asyncio.Queue[Msg]) -> Msg:
    if not arrived.empty():
        return arrived.get_nowait()
    try:
        async with asyncio.timeout(QUIET_S + 1):
            return await arrived.get()
    except TimeoutError as error:
        raise LogUnavailable("the server has forgotten the follower's request") from error


def _refuse_failure(status: str, message: Msg) -> None:
    """Raises LogUnavailable where the request did not end as it should."""
    description = (message.headers or {}).get("Description")
    if status not in ("404", "408") and description not in COMPLETED:
        raise LogUnavailable(f"the follower's request ended with {status}: {description}")


def _raw(message: Msg, position: Position) -> RawEvent:
    return RawEvent(position, message.subject, message.headers or {}, message.data)


def _consumer(after: Position, headers_only: bool) -> dict[str, object]:
    return {
        "ack_policy": "none",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after.sequence + 1,
        "replay_policy": "instant",
        "headers_only": headers_only,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": int(FORGOTTEN_S * 1e9),
    }


def _sequences(message: Msg) -> tuple[int, int]:
    """A message's number in the stream and in the consumer."""
    tokens = message.reply.split(".")
    first = 5 if len(tokens) == ACK_TOKENS else 7
    return int(tokens[first]), int(tokens[first + 1])
