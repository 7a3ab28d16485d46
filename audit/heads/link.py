"""Requests between the notary and the other processes, over core NATS.

    secaplane.notary.heads      the notary keeps the heads of now and answers with their root
    secaplane.notary.proofs     the notary proves the heads of one life
    secaplane.notary.tile       the notary reads a tile of a log
    secaplane.notary.publish    a process that can append records the heads of now
    secaplane.notary.answers.>  answers

Answers have subjects of their own, and not inboxes: a user who may answer here can answer no other
request, such as an append.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex

from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.audit.heads.unavailable import NotaryAbsent, NotaryUnavailable
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable

HEADS, PROOFS = "secaplane.notary.heads", "secaplane.notary.proofs"
TILE, PUBLISH = "secaplane.notary.tile", "secaplane.notary.publish"
ANSWERS = "secaplane.notary.answers"
OF_THE_NOTARY = (PUBLISH, f"{ANSWERS}.>")
"""Subjects to which the notary publishes."""
ANSWER_S_MAX = 10.0
AT_ONCE_MAX = 4
"""Answers that one process makes to one subject at the same time."""
WAITING_MAX = 256
"""Requests of one subject that wait for an answer; further ones get none."""
REFUSAL = "Secaplane-Refusal"
_NO_RESPONDERS = "503"

Answering = Callable[[bytes], Awaitable[bytes]]


async def ask(nats: Client, subject: str, body: bytes = b"") -> bytes:
    """The answer to a request.

    Raises:
        NotaryUnavailable: none, or a refusal.
    """
    reply = f"{ANSWERS}.{token_hex(16)}"
    arrived = asyncio.get_running_loop().create_future()
    try:
        subscribed = await nats.subscribe(reply, future=arrived, max_msgs=1)
        try:
            await nats.publish(subject, body, reply=reply)
            async with asyncio.timeout(ANSWER_S_MAX):
                answer: Msg = await arrived
        finally:
            with suppress(*CONNECTION_ERRORS):
                await subscribed.unsubscribe()
    except CONNECTION_ERRORS as error:
        raise NotaryUnavailable(f"no answer to {subject}") from error
    headers = answer.headers or {}
    if headers.get("Status") == _NO_RESPONDERS:
        raise NotaryAbsent(f"no process answers to {subject}: is the notary running?")
    if REFUSAL in headers:
        raise NotaryUnavailable(headers[REFUSAL])
    return answer.data


async def answer_requests(
    nats: Client, subject: str, answering: Answering, *, queue: str = ""
) -> None:
    """Answer the requests of a subject, without end. With a `queue`, one of the processes that name
    it answers each request."""
    waiting = asyncio.Queue[Msg](WAITING_MAX)

    async def arrived(message: Msg) -> None:
        if message.reply.startswith(f"{ANSWERS}.") and not waiting.full():
            waiting.put_nowait(message)

    async def respond() -> None:
        while True:
            message = await waiting.get()
            headers, data = None, b""
            try:
                data = await answering(message.data)
            except (LogUnavailable, OSError) as error:
                headers = {REFUSAL: " ".join(str(error).split())}
            with suppress(*CONNECTION_ERRORS):
                await nats.publish(message.reply, data, headers=headers)

    await nats.subscribe(subject, queue=queue, cb=arrived)
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE_MAX):
            group.create_task(respond())
