"""The positions that a stream has given, and those that its server can still read."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.jetstream.api import ServerError, json, request
from secaplane.eventlog.jetstream.follow import CreateConsumer, follow_raw
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole, between
from secaplane.eventlog.losses.integrity import LogIntegrity
from secaplane.eventlog.subjects import ALL_SUBJECTS
from secaplane.model.position import BEGINNING, Position, position
from secaplane.model.shape import Ref

NO_MESSAGE_FOUND = 10037


class _State(msgspec.Struct, frozen=True):
    last_seq: int


class _Message(msgspec.Struct, frozen=True):
    seq: int


class _PositionAnswer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    state: _State | None = None
    message: _Message | None = None


_decode = msgspec.json.Decoder(_PositionAnswer).decode


class ScannedPart(NamedTuple):
    """A part of a stream, read from its beginning to its end."""

    reached: Position
    holes: Sequence[Hole]
    subjects: Sequence[str]
    """Of the events that are there, in order."""


class StreamPositions:
    """Questions to the leader of a stream. Its counts do not show a message that became unreadable
    while the server was stopped: only reading does."""

    def __init__(self, nats: Client, create: CreateConsumer, streams: Sequence[str]) -> None:
        self._nats, self._create, self._streams = nats, create, streams
        self.integrity = LogIntegrity()
        self._reconnects = 0

    async def refuse_damaged(self, ref: Ref) -> None:
        """Refuse an append that the log must not take. Asks the server nothing, but after the
        connection was lost: it may have come back with less than it had.

        Raises:
            HistoryIncomplete, Unavailable, LogUnavailable: as `LogIntegrity.refuse_damaged`.
        """
        if self.reconnected:
            await self.compare_ends()
            self.integrity.doubt()
        await self.integrity.refuse_damaged(ref)

    @property
    def reconnected(self) -> bool:
        """True if the connection was lost since the ends of the streams were compared."""
        return bool(self._nats.stats["reconnects"] != self._reconnects)

    async def compare_ends(self) -> None:
        """Compare the end of each stream with the positions that it has given.

        Raises:
            LogUnavailable: a server did not answer.
        """
        reconnects = self._nats.stats["reconnects"]
        for stream in self._streams:
            self.integrity.ends(stream, await self.given_up_to(stream))
        self._reconnects = reconnects

    async def given_up_to(self, stream: str) -> Position:
        """The last position that a stream has given to an event.

        Raises:
            LogUnavailable: the server did not answer.
        """
        answer = await request(self._nats, _decode, f"$JS.API.STREAM.INFO.{stream}", b"")
        if answer.state is None:
            raise LogUnavailable(answer.error.description if answer.error else "no state")
        return position(stream, answer.state.last_seq)

    async def scan(self, stream: str, *, up_to: Position) -> AsyncGenerator[ScannedPart, None]:
        """Every position up to another one, batch by batch.

        Raises:
            LogUnavailable: the server did not answer.
        """
        after, end = 0, up_to.sequence
        whole = follow_raw(self._nats, stream, self._create, after=BEGINNING, headers_only=True)
        async with contextlib.aclosing(whole) as batches:
            while after < end:
                batch = await anext(batches)
                asked = [each for each in batch if each.position <= up_to]
                there = [each.position.sequence for each in asked]
                if len(asked) < len(batch) or not (batch or await self._next(stream, after)):
                    there.append(end + 1)
                holes = [*between(stream, after, there)]
                after = min(there[-1], end) if there else after
                subjects = [each.subject for each in asked]
                yield ScannedPart(position(stream, after), holes, subjects)

    async def lacks(self, hole: Hole) -> bool:
        """True if the stream has given the positions of a hole, and has no event there.

        Raises:
            LogUnavailable: the server did not answer.
        """
        later = await self._next(hole.stream, hole.first - 1)
        end = await self.given_up_to(hole.stream)
        return end.sequence >= hole.last and (later is None or later > hole.last)

    async def _next(self, stream: str, after: int) -> int | None:
        """The sequence of the first message after another one; None if there is none."""
        question = json({"seq": after + 1, "next_by_subj": ALL_SUBJECTS})
        address = f"$JS.API.STREAM.MSG.GET.{stream}"
        answer = await request(self._nats, _decode, address, question)
        if answer.error is not None and answer.error.err_code != NO_MESSAGE_FOUND:
            raise LogUnavailable(answer.error.description)
        return answer.message.seq if answer.message else None
