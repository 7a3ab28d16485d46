"""The log in memory: for tests, and for readers who want to see what a log is.

Events are written and read as bytes, as JetStream has them, so that nothing survives here that
would not survive there. `tests/log/test_log.py` holds both to one contract.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.decoding import readable
from secaplane.eventlog.event_seals import ClearEvents, EventSeals
from secaplane.eventlog.log import Followed, PrefixExpectation, RawEvent, VersionConflict
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import prefix, subject
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

BATCH_MAX = 256
QUIET_S = 0.25


class _Stored(NamedTuple):
    position: Position
    subject: str
    ref: Ref
    data: bytes


class MemoryLog:
    def __init__(
        self, region: str, streams: Streams | None = None, seals: EventSeals | None = None
    ) -> None:
        self._region, self._seals = region, seals or ClearEvents()
        self._streams = streams or Streams("SECA")
        self._stored: dict[str, list[_Stored]] = {name: [] for name in self._streams.names}
        self._given = dict[str, Position]()
        self.holes_acknowledged: Sequence[Acknowledgement] = ()
        self._appended = asyncio.Event()

    @property
    def streams(self) -> Streams:
        return self._streams

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        ref, new_event = new_event.ref, await self._seals.sealed(new_event)
        if expectation is not None:
            now, expected = await self.last_within(expectation.around), expectation.after
        else:
            now, expected = await self.last(ref), new_event.previous
        if now != expected:
            raise VersionConflict
        data = encode(new_event, self._streams.of(ref.kind))
        at = self.inject(ref, data)
        stored = [each for each in self._stored[at.stream] if each.position == at]
        (recorded,) = readable(await self._followed(stored))
        return msgspec.structs.replace(recorded, actor=new_event.actor)

    def inject(self, ref: Ref, data: bytes) -> Position:
        """Store bytes as they are, for tests of what no release has written."""
        stream = self._streams.of(ref.kind)
        stored = self._stored[stream]
        at = self._given[stream] = self._given.get(stream, Position(stream, 0)).moved(1)
        stored.append(_Stored(at, subject(ref, self._region), ref, data))
        self._appended.set()
        return at

    def refs(self) -> list[Ref]:
        """The resources that have events, for tests."""
        stored = (each for some in self._stored.values() for each in some)
        return list(dict.fromkeys(each.ref for each in stored))

    async def last(self, ref: Ref) -> Position:
        return self._last(ref.kind, lambda each: each.ref == ref)

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        history = self._some(ref.kind, lambda each: each.ref == ref)
        return readable(await self._followed(history[-1:]))[0] if history else None

    async def last_within(self, ref: Ref) -> Position:
        return self._last(ref.kind, self._below(ref))

    async def last_of(self, kind: str) -> Position:
        return self._last(kind, lambda each: each.ref.kind == kind)

    async def end(self, stream: str) -> Position:
        stored = self._stored[stream]
        return stored[-1].position if stored else BEGINNING

    async def given_up_to(self, stream: str) -> Position:
        return self._given.get(stream, BEGINNING)

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        return self.holes_acknowledged

    def lose(self, lost: Position) -> None:
        """Forget an event, as a damaged store does, for tests."""
        stored = self._stored[lost.stream]
        stored[:] = [each for each in stored if each.position != lost]

    def cut(self, end: Position) -> None:
        """Forget every event after a position, and that it was there, for tests."""
        stored = self._stored[end.stream]
        stored[:] = [each for each in stored if each.position <= end]
        self._given[end.stream] = end

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        some = self._some(ref.kind, lambda each: each.ref == ref, after, up_to)
        return readable(await self._followed(some), None if after else BEGINNING)

    async def history(self, ref: Ref) -> tuple[Followed, ...]:
        return tuple(await self._followed(self._some(ref.kind, lambda each: each.ref == ref)))

    async def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        some = self._some(ref.kind, lambda each: each.ref == ref, after, up_to)
        yield await self._followed(some)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        some = self._some(ref.kind, self._below(ref), after, up_to)
        return tuple(await self._followed(some))

    async def touched(
        self, kind: str, *, after: Position, up_to: Position
    ) -> Mapping[Ref, Position]:
        some = self._some(kind, lambda each: each.ref.kind == kind, after, up_to)
        return {each.ref: each.position for each in some}

    async def follow(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        async with contextlib.aclosing(self.follow_raw(stream, after=after)) as batches:
            async for batch in batches:
                yield await self._seals.followed(batch)

    async def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        stored, begin = self._stored[stream], after.sequence
        while True:
            first = bisect_right(stored, begin, key=_sequence)
            batch = stored[first : first + BATCH_MAX]
            begin = batch[-1].position.sequence if batch else begin
            yield [_raw(each) for each in batch]
            if first + len(batch) == len(stored):
                self._appended.clear()
                try:
                    async with asyncio.timeout(QUIET_S):
                        await self._appended.wait()
                except TimeoutError:
                    pass

    async def _followed(self, some: Sequence[_Stored]) -> list[Followed]:
        return await self._seals.followed([_raw(each) for each in some])

    def _below(self, ref: Ref) -> Callable[[_Stored], bool]:
        stem = prefix(ref, self._region).removesuffix(">")
        return lambda each: each.subject.startswith(stem)

    def _last(self, kind: str, chosen: Callable[[_Stored], bool]) -> Position:
        stored = self._stored[self._streams.of(kind)]
        return next((each.position for each in reversed(stored) if chosen(each)), BEGINNING)

    def _some(
        self,
        kind: str,
        chosen: Callable[[_Stored], bool],
        after: Position = BEGINNING,
        up_to: Position | None = None,
    ) -> list[_Stored]:
        stored = self._stored[self._streams.of(kind)]
        return [
            each
            for each in stored
            if chosen(each) and each.position > after and (up_to is None or each.position <= up_to)
        ]


def _sequence(stored: _Stored) -> int:
    return stored.position.sequence


def _raw(stored: _Stored) -> RawEvent:
    return RawEvent(stored.position, stored.subject, {}, stored.data)
