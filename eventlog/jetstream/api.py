"""Requests to JetStream: one answer, or a batch of messages."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable

ANSWER_S_MAX = 2.0
PREPARE_S_MAX = 10.0
READ_BATCH_MAX = 512
NO_TIMEOUT: Any = None
"""The client's time-out can swallow a cancellation on Python 3.11: `asyncio.timeout` is used."""
NO_ANSWER: tuple[type[Exception], ...] = (*NOT_JSON, *CONNECTION_ERRORS)
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
"""Header of a publish: the last sequence of its subject."""
T = TypeVar("T")

json = msgspec.json.Encoder().encode


class ServerError(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class StoredMessage(msgspec.Struct, frozen=True):
    """A message of a stream, in an answer."""

    seq: int
    data: bytes = b""


class StreamAnswer(msgspec.Struct, frozen=True):
    """The parts of an answer about one message, publish or consumer that are read."""

    error: ServerError | None = None
    seq: int = 0
    message: StoredMessage | None = None
    name: str = ""


decode_answer = msgspec.json.Decoder(StreamAnswer).decode


async def request(
    nats: Client,
    decode: Callable[[bytes], T],
    subject: str,
    body: bytes,
    *,
    seconds: float = ANSWER_S_MAX,
    headers: dict[str, Any] | None = None,
) -> T:
    """The decoded answer to a request.

    Raises:
        LogUnavailable: no answer arrived in time, or it could not be decoded.
    """
    try:
        async with asyncio.timeout(seconds):
            answer = await nats.request(subject, body, NO_TIMEOUT, headers=headers)
            return decode(answer.data)
    except NO_ANSWER as error:
        raise LogUnavailable(str(error) or type(error).__name__) from error


async def direct_batch(
    nats: Client, subject: str, question: Mapping[str, Any]
) -> tuple[list[Msg], Msg]:
    """A direct get of at most READ_BATCH_MAX messages: these, and the empty message that ends the
    batch.

    Raises:
        one of CONNECTION_ERRORS.
    """
    inbox, arrived = nats.new_inbox(), asyncio.Queue[Msg]()
    answers = await nats.subscribe(inbox, cb=arrived.put)
    messages: list[Msg] = []
    try:
        await nats.publish(subject, json({"batch": READ_BATCH_MAX, **question}), reply=inbox)
        while True:
            async with asyncio.timeout(ANSWER_S_MAX):
                message = await arrived.get()
            if not message.data and "Status" in (message.headers or {}):
                return messages, message  # a stored message may be empty, too
            messages.append(message)
    finally:
        with contextlib.suppress(*CONNECTION_ERRORS):
            await answers.unsubscribe()
