"""How JetStream is asked: one question and one answer, or one question and a batch of messages."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable

ANSWER_S_MAX = 2.0
PREPARE_S_MAX = 10.0
READ_BATCH_MAX = 512
NO_TIMEOUT: Any = None
"""The client's own time-out can swallow a cancellation on Python 3.11; ours is around it."""
NO_ANSWER: tuple[type[Exception], ...] = (msgspec.DecodeError, *CONNECTION_ERRORS)
T = TypeVar("T")

json = msgspec.json.Encoder().encode


class ServerError(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


async def asked(
    nats: Client,
    decode: Callable[[bytes], T],
    address: str,
    question: bytes,
    *,
    seconds: float = ANSWER_S_MAX,
    headers: dict[str, Any] | None = None,
) -> T:
    """Raises Unanswered: nothing came, or nothing that can be read."""
    try:
        async with asyncio.timeout(seconds):
            answer = await nats.request(address, question, NO_TIMEOUT, headers=headers)
            return decode(answer.data)
    except NO_ANSWER as error:
        raise LogUnavailable(str(error) or type(error).__name__) from error


async def direct_batch(
    nats: Client, address: str, question: Mapping[str, Any]
) -> tuple[list[Msg], Msg]:
    """A direct get of so many messages, and the empty one that closes them.

    Raises:
        one of LOST.
    """
    inbox, arrived = nats.new_inbox(), asyncio.Queue[Msg]()
    answers = await nats.subscribe(inbox, cb=arrived.put)
    found: list[Msg] = []
    try:
        await nats.publish(address, json({"batch": READ_BATCH_MAX, **question}), reply=inbox)
        while True:
            async with asyncio.timeout(ANSWER_S_MAX):
                message = await arrived.get()
            if not message.data:
                return found, message
            found.append(message)
    finally:
        with contextlib.suppress(*CONNECTION_ERRORS):
            await answers.unsubscribe()
