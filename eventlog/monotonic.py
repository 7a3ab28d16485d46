"""Monotonic reads: a log whose answers are never older than what its process knows of it.

On several NATS nodes a consumer may hand over an event before the stream's leader has applied it,
and a leader that was replaced may answer for some seconds without the newest events. A reader that
follows the log and then asks it would conclude from an answer that leaves out what it followed.
Every process has its log through this one, so that no reader has to compare positions itself
(docs/decisions/042).
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Generic, TypeVar

from secaplane.eventlog.codec import NewEvent, Undecodable
from secaplane.eventlog.decoding import address_of, missing
from secaplane.eventlog.log import Followed, Log, OutdatedAnswer, PrefixExpectation, RawEvent
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.streams import Streams
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

ASKED_AGAIN_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Delays before the leader is asked again: it lags by some milliseconds in a cluster at rest."""
ADDRESSES_MAX = 8192
"""Addresses of one stream whose newest position is kept: at most 8 MB."""
T = TypeVar("T")
L = TypeVar("L", bound=Log)


class KnownPositions:
    """Positions of one stream that a process knows of, as sequences. Pure.

    What is known of an address, and has to be dropped, is kept as `unlisted`: once an answer of the
    leader includes that position, no later answer can leave out any event before it.
    """

    def __init__(self, *, addresses_max: int = ADDRESSES_MAX) -> None:
        self._addresses_max = addresses_max
        self._addresses = OrderedDict[Ref, int]()
        self._kinds = dict[str, int]()
        self.newest = 0
        """The newest event that exists."""
        self.confirmed = 0
        """The newest event that an answer of the leader included."""
        self.unlisted = 0
        """The newest event that `_addresses` may leave out."""

    def know(self, ref: Ref, sequence: int) -> None:
        """Take an event of an address that exists."""
        addresses = self._addresses
        before = addresses.pop(ref, 0)
        addresses[ref] = before if before > sequence else sequence
        if len(addresses) > self._addresses_max:
            self.unlisted = max(self.unlisted, addresses.popitem(last=False)[1])
        if self._kinds.get(ref.kind, 0) < sequence:
            self._kinds[ref.kind] = sequence
        if self.newest < sequence:
            self.newest = sequence

    def know_all(self, sequence: int) -> None:
        """Take a position that the stream has reached, with events of any address before it."""
        self.unlisted = max(self.unlisted, sequence)
        self.newest = max(self.newest, sequence)

    def confirm(self, sequence: int) -> None:
        """Take a position that an answer of the leader included."""
        if self.confirmed < sequence:
            self.confirmed = sequence
            self.newest = max(self.newest, sequence)

    def of(self, ref: Ref) -> int:
        return self._addresses.get(ref, 0)

    def of_kind(self, kind: str) -> int:
        return self._kinds.get(kind, 0)


class MonotonicLog(Generic[L]):
    """A `Log` on another one. Its questions about the newest event of a resource, of a kind, or of
    the stream, are answered with at least what this object has handed to a follower, recorded, or
    answered before. An older answer is asked for again, for a bounded time.

    Raises:
        OutdatedAnswer: the leader still answers with less; nothing may be concluded.
        EventMissing: the leader has lost the event.
    """

    def __init__(self, log: L) -> None:
        self.inner = log
        self._known = {name: KnownPositions() for name in log.streams.names}

    @property
    def streams(self) -> Streams:
        return self.inner.streams

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        recorded = await self.inner.append(new_event, expectation=expectation)
        known, sequence = self._known[recorded.position.stream], recorded.position.sequence
        known.know(recorded.ref, sequence)
        known.confirm(sequence)
        return recorded

    async def last(self, ref: Ref) -> Position:
        return await self._about(ref, partial(self.inner.last, ref), _itself)

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        ask = partial(self.inner.latest, ref)
        try:
            return await self._about(ref, ask, _of_event)
        except Undecodable:
            await self.last(ref)  # the event that cannot be decoded may be an older one
            return await self._about(ref, ask, _of_event)

    async def last_within(self, ref: Ref) -> Position:
        stream = self.streams.of(ref.kind)
        known = self._known[stream]
        await self._confirm(stream, known.newest)
        ask = partial(self.inner.last_within, ref)
        return await self._answer(stream, ask, _itself, known.of(ref))

    async def last_of(self, kind: str) -> Position:
        stream = self.streams.of(kind)
        known = self._known[stream]
        await self._confirm(stream, known.unlisted)
        ask = partial(self.inner.last_of, kind)
        return await self._answer(stream, ask, _itself, known.of_kind(kind))

    async def end(self, stream: str) -> Position:
        ask = partial(self.inner.end, stream)
        return await self._answer(stream, ask, _itself, self._known[stream].newest)

    async def given_up_to(self, stream: str) -> Position:
        return await self.inner.given_up_to(stream)

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        return await self.inner.acknowledged()

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        end = await self.last(ref) if up_to is None else up_to
        return await self.inner.read(ref, after=after, up_to=end)

    async def history(self, ref: Ref) -> tuple[Followed, ...]:
        return await self._about(ref, partial(self.inner.history, ref), _of_history)

    def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        return self.inner.read_batches(ref, after=after, up_to=up_to)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        return await self.inner.read_within(ref, after=after, up_to=up_to)

    async def touched(
        self, kind: str, *, after: Position, up_to: Position
    ) -> Mapping[Ref, Position]:
        touched = await self.inner.touched(kind, after=after, up_to=up_to)
        for ref, position in touched.items():
            self._known[position.stream].know(ref, position.sequence)
        return touched

    async def follow(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        known = self._known[stream]
        known.know_all(after.sequence)
        async with aclosing(self.inner.follow(stream, after=after)) as batches:
            async for batch in batches:
                for each in batch:
                    known.know(each.ref, each.position.sequence)
                yield batch

    async def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        known = self._known[stream]
        known.know_all(after.sequence)
        async with aclosing(self.inner.follow_raw(stream, after=after)) as batches:
            async for batch in batches:
                for each in batch:
                    known.know(address_of(each.subject), each.position.sequence)
                yield batch

    async def _about(
        self, ref: Ref, ask: Callable[[], Awaitable[T]], position_of: Callable[[T], Position]
    ) -> T:
        """An answer about one address."""
        stream = self.streams.of(ref.kind)
        known = self._known[stream]
        if known.unlisted > known.confirmed:
            await self._confirm(stream, known.unlisted)
        try:
            answer = await self._answer(stream, ask, position_of, known.of(ref))
        except OutdatedAnswer:
            await self._refuse_lost(ref, Position(stream, known.of(ref)))
            raise
        sequence = position_of(answer).sequence
        if sequence:
            known.know(ref, sequence)
        return answer

    async def _refuse_lost(self, ref: Ref, known: Position) -> None:
        """Raises EventMissing where the leader has lost the event of an address at a position."""
        if await has_lost(self.inner, ref, known):
            raise missing(ref, known)

    async def _confirm(self, stream: str, sequence: int) -> None:
        """Returns once an answer of the leader has included a position."""
        if self._known[stream].confirmed < sequence:
            await self._answer(stream, partial(self.inner.end, stream), _itself, sequence)

    async def _answer(
        self,
        stream: str,
        ask: Callable[[], Awaitable[T]],
        position_of: Callable[[T], Position],
        required: int,
    ) -> T:
        """The first answer that includes a position; asks again while there is time."""
        for delay_s in (*ASKED_AGAIN_S, None):
            answer = await ask()
            sequence = position_of(answer).sequence
            if sequence >= required:
                self._known[stream].confirm(sequence)
                return answer
            if delay_s is not None:
                await asyncio.sleep(delay_s)
        raise OutdatedAnswer(
            f"an outdated answer: it ends at {stream}:{sequence}, and {stream}:{required} is known"
        )


async def has_lost(log: Log, ref: Ref, known: Position) -> bool:
    """True if the leader has given a position to an event and has no event of that address there,
    or later: it does not lag. Asked twice, because another server may lead between two questions,
    and lag: its second answer shows that.

    Raises:
        LogUnavailable: the leader did not answer.
    """
    for _ in range(2):
        if await log.given_up_to(known.stream) < known or await log.last(ref) >= known:
            return False
    return True


async def end_reaching(log: Log, stream: str, known: Position) -> Position:
    """The end of a stream. It is asked for again, for a bounded time, while it is before a position
    that is known from elsewhere: a row, an announcement, or a caller, who can name any position. It
    may be before it still.

    Raises:
        LogUnavailable: the leader did not answer.
    """
    for delay_s in ASKED_AGAIN_S:
        end = await log.end(stream)
        if end >= known:
            return end
        await asyncio.sleep(delay_s)
    return await log.end(stream)


def _itself(position: Position) -> Position:
    return position


def _of_event(event: RecordedEvent | None) -> Position:
    return BEGINNING if event is None else event.position


def _of_history(history: Sequence[Followed]) -> Position:
    return history[-1].position if history else BEGINNING
