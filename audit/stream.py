"""The security audit stream on NATS JetStream: create it, publish entries, read them.

The stream is limited for each caller, in bytes and in age, and discards the oldest entries first;
nothing else in it can be deleted. With one replica an acknowledgement does not wait for the disk,
so that entries do not compete with the log's events.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from secrets import token_bytes
from typing import Any, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.audit.entries import ALL_SUBJECTS, Entry, encode, subject
from secaplane.eventlog.codec import SALT_BYTES
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import (
    ANSWER_S_MAX,
    NO_TIMEOUT,
    PREPARE_S_MAX,
    ServerError,
    direct_batch,
    json,
    request,
)
from secaplane.eventlog.log import LogUnavailable

DUPLICATE_WINDOW_S = 120
"""Time for which the server recognises an entry that it has already stored."""
NAME_IN_USE = 10058
MESSAGE_ID = "Nats-Msg-Id"
NANOSECONDS_PER_DAY = 24 * 3600 * 10**9


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the stream; older entries are discarded."""

    entries_per_caller: int
    """Of one type."""
    bytes_max: int
    days: int


class PendingEntry(NamedTuple):
    """An entry and its message id: the server stores an entry that was published twice once."""

    message_id: str
    entry: Entry


class PublishResult(Enum):
    STORED = "stored"
    REJECTED = "rejected"
    """The stream does not take this entry; publishing it again would not help."""
    UNANSWERED = "unanswered"


class _Config(msgspec.Struct, frozen=True):
    max_msgs_per_subject: int = 0
    max_bytes: int = 0
    max_age: int = 0


class _Answer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    config: _Config | None = None
    seq: int = 0


_answer = msgspec.json.Decoder(_Answer).decode


def stream_name(log_stream: str) -> str:
    """The audit stream's name, beside the stream of the log."""
    return f"{log_stream}-audit"


class AuditStream:
    def __init__(self, nats: Client, *, stream: str) -> None:
        self._nats, self.name = nats, stream_name(stream)
        self._direct = f"$JS.API.DIRECT.GET.{self.name}"
        self._ask = partial(request, nats, _answer)

    async def create(self, limits: AuditLimits, *, replicas: int = 1) -> None:
        """Create the stream if there is none. One that exists keeps its limits: a process that
        could lower them could empty the stream.

        Raises:
            LogUnavailable: the server did not confirm that the stream exists.
        """
        config = {
            "name": self.name,
            "subjects": [ALL_SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_msgs_per_subject": limits.entries_per_caller,
            "max_bytes": limits.bytes_max,
            "max_age": limits.days * NANOSECONDS_PER_DAY,
            "duplicate_window": DUPLICATE_WINDOW_S * 10**9,
            "num_replicas": replicas,
            "allow_direct": True,
            "deny_delete": True,
            "deny_purge": True,
        }
        if replicas == 1:
            config["persist_mode"] = "async"
        address = f"$JS.API.STREAM.CREATE.{self.name}"
        created = await self._ask(address, json(config), seconds=PREPARE_S_MAX)
        if created.error is not None and created.error.err_code != NAME_IN_USE:
            raise LogUnavailable(created.error.description)

    async def limits(self) -> AuditLimits:
        """The limits that the stream has.

        Raises:
            LogUnavailable: the server did not answer, or the stream does not exist yet.
        """
        known = await self._ask(f"$JS.API.STREAM.INFO.{self.name}", b"")
        if known.config is None:
            raise LogUnavailable(known.error.description if known.error else "no configuration")
        config = known.config
        return AuditLimits(
            entries_per_caller=config.max_msgs_per_subject,
            bytes_max=config.max_bytes,
            days=config.max_age // NANOSECONDS_PER_DAY,
        )

    async def publish(self, batch: Sequence[PendingEntry]) -> list[PublishResult]:
        """Publish a batch concurrently; the result of each entry, in the same order."""
        if not self._nats.is_connected:
            return [PublishResult.UNANSWERED] * len(batch)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish(each)) for each in batch]
        return [task.result() for task in tasks]

    async def append(self, each: PendingEntry) -> int:
        """Publish one entry; its sequence.

        Raises:
            LogUnavailable: it was not stored, or that is not known.
        """
        data = encode(each.entry, token_bytes(SALT_BYTES))
        answer = await self._ask(subject(each.entry), data, headers={MESSAGE_ID: each.message_id})
        if answer.error is not None:
            raise LogUnavailable(answer.error.description)
        return answer.seq

    async def newest(self, subjects: str) -> bytes | None:
        """The newest entry of some subjects.

        Raises:
            LogUnavailable: the server did not answer.
        """
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                question = json({"last_by_subj": subjects})
                answer = await self._nats.request(self._direct, question, NO_TIMEOUT)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error
        return None if "Status" in (answer.headers or {}) else answer.data

    async def read(self, *, since: datetime | None = None) -> AsyncGenerator[bytes, None]:
        """The stored entries since a time, oldest first, up to the newest.

        Raises:
            LogUnavailable: the server did not answer, or not to the end.
        """
        question: dict[str, Any] = {"seq": 1}
        if since is not None:
            question = {"start_time": since.isoformat()}
        while True:
            messages, remaining = await self._batch(question)
            for message in messages:
                yield message.data
            if not messages or not remaining:
                return
            question = {"seq": int((messages[-1].headers or {})["Nats-Sequence"]) + 1}

    async def _publish(self, each: PendingEntry) -> PublishResult:
        try:
            data = encode(each.entry, token_bytes(SALT_BYTES))
            answer = await self._ask(
                subject(each.entry), data, headers={MESSAGE_ID: each.message_id}
            )
        except LogUnavailable:
            return PublishResult.UNANSWERED
        return PublishResult.STORED if answer.error is None else PublishResult.REJECTED

    async def _batch(self, question: dict[str, Any]) -> tuple[list[Msg], int]:
        """Messages, and how many there are after them."""
        try:
            every = {**question, "next_by_subj": ALL_SUBJECTS}
            messages, closing = await direct_batch(self._nats, self._direct, every)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error
        return messages, _remaining(closing)


def _remaining(closing: Msg) -> int:
    """Raises LogUnavailable where the server has no such stream."""
    headers = closing.headers or {}
    if headers.get("Status") == "503":
        raise LogUnavailable("there is no such stream")
    return int(headers.get("Nats-Num-Pending", "0"))
