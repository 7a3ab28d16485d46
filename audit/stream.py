"""The second stream on NATS JetStream, the only file that knows: made, told, and read.

It is bounded by what one caller may leave, by its size and by its age, and the oldest go first;
nobody may delete anything else. Where there is one replica it does not wait for the disk: the log's
events have that to themselves.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.audit.entries import ALL_SUBJECTS, Entry, encode, subject
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream_api import PREPARE_S_MAX, ServerError, asked, direct_batch, json
from secaplane.eventlog.log import LogUnavailable

DUPLICATE_WINDOW_S = 120
"""For so long the server recognises an entry that it has already been told."""
NAME_IN_USE = 10058
MESSAGE_ID = "Nats-Msg-Id"


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept; what is older than the newest that fit is gone."""

    each: int
    """Of one type and caller."""
    bytes_max: int
    days: int


class PendingEntry(NamedTuple):
    """An entry under a name of its own: told twice, it is kept once."""

    name: str
    entry: Entry


class PublishResult(Enum):
    KEPT = "kept"
    REFUSED = "refused"
    """The stream will not have it; to try again is of no use."""
    UNANSWERED = "unanswered"


class _Config(msgspec.Struct, frozen=True):
    max_msgs_per_subject: int = 0
    max_bytes: int = 0
    max_age: int = 0


class _Answer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    config: _Config | None = None


_answer = msgspec.json.Decoder(_Answer).decode


def stream_name(stream: str) -> str:
    """Beside the stream that holds the log."""
    return f"{stream}-refusals"


class AuditStream:
    def __init__(self, nats: Client, *, stream: str) -> None:
        self._nats, self.name = nats, stream_name(stream)
        self._direct = f"$JS.API.DIRECT.GET.{self.name}"
        self._ask = partial(asked, nats, _answer)

    async def make(self, limits: AuditLimits, *, replicas: int = 1) -> None:
        """Unless there is one, which stays as it is: who could lower its limits could empty it.

        Raises:
            Unanswered: the server did not say that it is there now.
        """
        config = {
            "name": self.name,
            "subjects": [ALL_SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_msgs_per_subject": limits.each,
            "max_bytes": limits.bytes_max,
            "max_age": limits.days * 24 * 3600 * 10**9,
            "duplicate_window": DUPLICATE_WINDOW_S * 10**9,
            "num_replicas": replicas,
            "allow_direct": True,
            "deny_delete": True,
            "deny_purge": True,
        }
        if replicas == 1:
            config["persist_mode"] = "async"
        address = f"$JS.API.STREAM.CREATE.{self.name}"
        made = await self._ask(address, json(config), seconds=PREPARE_S_MAX)
        if made.error is not None and made.error.err_code != NAME_IN_USE:
            raise LogUnavailable(made.error.description)

    async def limits(self) -> AuditLimits:
        """Those that it has.

        Raises:
            Unanswered: the server did not say, or there is no such stream yet.
        """
        known = await self._ask(f"$JS.API.STREAM.INFO.{self.name}", b"")
        if known.config is None:
            raise LogUnavailable(known.error.description if known.error else "no configuration")
        config = known.config
        return AuditLimits(
            each=config.max_msgs_per_subject,
            bytes_max=config.max_bytes,
            days=config.max_age // (24 * 3600 * 10**9),
        )

    async def tell(self, batch: Sequence[PendingEntry]) -> list[PublishResult]:
        """All at once; what became of each."""
        if not self._nats.is_connected:
            return [PublishResult.UNANSWERED] * len(batch)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._tell(each)) for each in batch]
        return [task.result() for task in tasks]

    async def read(self, *, since: datetime | None = None) -> AsyncGenerator[bytes, None]:
        """What was kept since then, oldest first, up to now.

        Raises:
            Unanswered: the server did not say, or not all of it.
        """
        question: dict[str, Any] = {"seq": 1}
        if since is not None:
            question = {"start_time": since.isoformat()}
        while True:
            found, left = await self._batch(question)
            for message in found:
                yield message.data
            if not found or not left:
                return
            question = {"seq": int((found[-1].headers or {})["Nats-Sequence"]) + 1}

    async def _tell(self, each: PendingEntry) -> PublishResult:
        try:
            answer = await self._ask(
                subject(each.entry), encode(each.entry), headers={MESSAGE_ID: each.name}
            )
        except LogUnavailable:
            return PublishResult.UNANSWERED
        return PublishResult.KEPT if answer.error is None else PublishResult.REFUSED

    async def _batch(self, question: dict[str, Any]) -> tuple[list[Msg], int]:
        """Some, and how many there are after them."""
        try:
            every = {**question, "next_by_subj": ALL_SUBJECTS}
            found, closing = await direct_batch(self._nats, self._direct, every)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error
        return found, _left(closing)


def _left(closing: Msg) -> int:
    """Raises Unanswered where nobody serves the question."""
    headers = closing.headers or {}
    if headers.get("Status") == "503":
        raise LogUnavailable("there is no such stream")
    return int(headers.get("Nats-Num-Pending", "0"))
