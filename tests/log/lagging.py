"""A double of the log: after `follow` has yielded events, questions are answered as of one event
earlier, as a leader does that has not applied yet what a consumer's node has handed over."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.decoding import readable
from secaplane.eventlog.log import Followed, PrefixExpectation, RawEvent
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.streams import Streams
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

ALWAYS = 10**9


class LaggingLog:
    """Wraps a `MemoryLog`. Appends are judged by all events, as the leader's own are."""

    def __init__(self, log: MemoryLog, *, outdated_answers: int = 1) -> None:
        """`outdated_answers`: so many questions are answered late after each batch."""
        self.log, self.outdated_answers = log, outdated_answers
        self.asked = 0
        """Questions about the newest event of something."""
        self._left = 0

    @property
    def streams(self) -> Streams:
        return self.log.streams

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        return await self.log.append(new_event, expectation=expectation)

    async def last(self, ref: Ref) -> Position:
        return _end(await self.history(ref))

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        history = await self.history(ref)
        return readable(history[-1:])[0] if history else None

    async def last_within(self, ref: Ref) -> Position:
        end = await self._applied(self.streams.of(ref.kind))
        return _end(await self.log.read_within(ref, after=BEGINNING, up_to=end))

    async def last_of(self, kind: str) -> Position:
        end = await self._applied(self.streams.of(kind))
        touched = await self.log.touched(kind, after=BEGINNING, up_to=end)
        return max(touched.values(), default=BEGINNING)

    async def end(self, stream: str) -> Position:
        return await self._applied(stream)

    async def given_up_to(self, stream: str) -> Position:
        return await self._applied(stream)

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        return await self.log.acknowledged()

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        end = await self.last(ref) if up_to is None else up_to
        return await self.log.read(ref, after=after, up_to=end)

    def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        return self.log.read_batches(ref, after=after, up_to=up_to)

    async def history(self, ref: Ref) -> tuple[Followed, ...]:
        end = await self._applied(self.streams.of(ref.kind))
        return tuple(each for each in await self.log.history(ref) if each.position <= end)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        return await self.log.read_within(ref, after=after, up_to=up_to)

    async def touched(
        self, kind: str, *, after: Position, up_to: Position
    ) -> Mapping[Ref, Position]:
        return await self.log.touched(kind, after=after, up_to=up_to)

    async def follow(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        async with aclosing(self.log.follow(stream, after=after)) as batches:
            async for batch in batches:
                self._left = self.outdated_answers if batch else self._left
                yield batch

    async def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        async with aclosing(self.log.follow_raw(stream, after=after)) as batches:
            async for batch in batches:
                self._left = self.outdated_answers if batch else self._left
                yield batch

    def lag(self, answers: int = 1) -> None:
        """The next answers are outdated, as those of a leader that has just been elected."""
        self._left = answers

    async def _applied(self, stream: str) -> Position:
        """The last event that the answer to one more question includes."""
        self.asked += 1
        end = await self.log.end(stream)
        if not self._left or not end:
            return end
        self._left -= 1
        return end.moved(-1)


def _end(history: Sequence[Followed]) -> Position:
    return history[-1].position if history else BEGINNING
