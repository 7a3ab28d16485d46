"""The security audit stream as a projector follows it: batch by batch, with positions that hold
nothing any more.

The stream removes entries by its limits: the oldest ones, and old ones of a caller that has many.
So its sequences have gaps, which are no loss, and its last entries can be gone.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from nats.aio.client import Client

from secaplane.audit.stream import stream_name
from secaplane.eventlog.jetstream.api import ServerError, json, request
from secaplane.eventlog.jetstream.follow import follow_raw
from secaplane.eventlog.log import LogUnavailable, RawEvent
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.streams import Streams
from secaplane.model.events import RecordedEvent
from secaplane.model.position import Position, position
from secaplane.model.shape import Ref

NO_MESSAGE, NO_STREAM = 10037, 10059
NOTHING = ""
"""The subject of a position that stands for all up to it that hold no entry."""


class EntryExtent(NamedTuple):
    """The entries that the stream holds."""

    first: int
    """No entry before this sequence is left."""
    last: int
    """The last sequence that the stream has given."""
    per_subject: int
    """Entries that it keeps of each type and caller; 0: all."""


class _State(msgspec.Struct, frozen=True):
    first_seq: int = 0
    last_seq: int = 0


class _Limits(msgspec.Struct, frozen=True):
    max_msgs_per_subject: int = 0


class _Stored(msgspec.Struct, frozen=True):
    seq: int


class _StreamAnswer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    state: _State = _State()
    config: _Limits = _Limits()
    message: _Stored | None = None
    name: str = ""


_decode = msgspec.json.Decoder(_StreamAnswer).decode


class EntryLog:
    """The questions of `eventlog.log.Log` that a projector asks."""

    def __init__(self, nats: Client, *, log_stream: str) -> None:
        self._nats, self._name = nats, stream_name(log_stream)
        self.streams = Streams(self._name)

    async def extent(self) -> EntryExtent:
        """A stream that does not exist yet is empty.

        Raises:
            LogUnavailable: the server did not answer.
        """
        answer = await request(self._nats, _decode, f"$JS.API.STREAM.INFO.{self._name}", b"")
        if answer.error is not None and answer.error.err_code != NO_STREAM:
            raise LogUnavailable(answer.error.description)
        limit = max(answer.config.max_msgs_per_subject, 0)
        return EntryExtent(answer.state.first_seq, answer.state.last_seq, limit)

    async def end(self, stream: str) -> Position:
        """The last position that the stream has given, whether it still has the entry or not."""
        return position(stream, (await self.extent()).last)

    async def has(self, sequence: int) -> bool:
        """True while the stream has the entry.

        Raises:
            LogUnavailable: the server did not answer.
        """
        return await self._found({"seq": sequence})

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        return ()

    async def read(self, ref: Ref, *, up_to: Position | None = None) -> tuple[RecordedEvent, ...]:
        """An entry belongs to no resource."""
        return ()

    async def follow(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        """As `Log.follow_raw`; a position whose subject is NOTHING says that up to there nothing is
        left."""
        followed = follow_raw(self._nats, stream, self._consumer, after=after)
        async with aclosing(followed) as batches:
            async for batch in batches:
                if batch:
                    after = batch[-1].position
                    yield batch
                elif (end := await self._nothing_up_to(after)) > after:
                    after = end
                    yield [RawEvent(end, NOTHING, {}, b"")]
                else:
                    yield ()

    async def _nothing_up_to(self, after: Position) -> Position:
        """The end of the stream, if it has no entry between."""
        try:
            end = await self.end(self._name)
            if end <= after:
                return after
            question = {"seq": after.sequence + 1, "next_by_subj": ">"}
            return after if await self._found(question) else end
        except LogUnavailable:
            return after

    async def _found(self, question: dict[str, object]) -> bool:
        address = f"$JS.API.STREAM.MSG.GET.{self._name}"
        answer = await request(self._nats, _decode, address, json(question))
        if answer.error is not None and answer.error.err_code not in (NO_MESSAGE, NO_STREAM):
            raise LogUnavailable(answer.error.description)
        return answer.message is not None

    async def _consumer(self, subject: str, question: bytes) -> str:
        answer = await request(self._nats, _decode, subject, question)
        if not answer.name:
            raise LogUnavailable(answer.error.description if answer.error else "no consumer")
        return answer.name
