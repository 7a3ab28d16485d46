"""The log as a list: for tests, and for readers who want to know what a log is.

It writes and reads bytes as the real one does, so nothing survives here that would not there.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from secaplane.eventlog.codec import NewEvent, Undecodable, decode, encode
from secaplane.eventlog.log import Followed, PrefixExpectation, UndecodableEvent, VersionConflict
from secaplane.eventlog.subjects import prefix, subject
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import BEGINNING, Position, Ref

BATCH_MAX = 256
QUIET_S = 0.25


class MemoryLog:
    def __init__(self, region: str) -> None:
        self._region = region
        self._records: list[tuple[Ref, bytes, Position | None]] = []
        self._grew = asyncio.Event()

    async def append(
        self, new_event: NewEvent, *, after: Position, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        if expectation is not None:
            now, expected = await self.last_within(expectation.around), expectation.after
        else:
            now, expected = await self.last(new_event.ref), after
        if now != expected:
            raise VersionConflict
        before = None if expectation else after
        self._records.append((new_event.ref, encode(new_event), before))
        self._grew.set()
        return decode(self._records[-1][1], Position(len(self._records)), before)

    async def last(self, ref: Ref) -> Position:
        return self._last([r == ref for r, _, _ in self._records])

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        last = await self.last(ref)
        history = await self.read(ref, after=Position(last - 1), up_to=last)
        return history[-1] if history else None

    async def last_within(self, ref: Ref) -> Position:
        return self._last(self._within(ref))

    async def last_of(self, kind: str) -> Position:
        return self._last([r.kind == kind for r, _, _ in self._records])

    async def end(self) -> Position:
        return Position(len(self._records))

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        return self._some([r == ref for r, _, _ in self._records], after, up_to)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[RecordedEvent, ...]:
        return self._some(self._within(ref), after, up_to)

    async def touched(self, kind: str, *, after: Position, up_to: Position) -> frozenset[Ref]:
        return frozenset(r for r, _, _ in self._records[after:up_to] if r.kind == kind)

    async def follow(self, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        while True:
            batch = [self._at(n) for n in range(after, len(self._records))[:BATCH_MAX]]
            if batch:
                after = batch[-1].position
            yield batch
            if after == len(self._records):
                self._grew.clear()
                try:
                    async with asyncio.timeout(QUIET_S):
                        await self._grew.wait()
                except TimeoutError:
                    pass

    def _at(self, index: int) -> Followed:
        ref, new_event, before = self._records[index]
        try:
            return decode(new_event, Position(index + 1), before)
        except Undecodable as reason:
            return UndecodableEvent(ref, Position(index + 1), str(reason))

    def _within(self, ref: Ref) -> list[bool]:
        inside = prefix(ref, self._region).removesuffix(">")
        return [subject(r, self._region).startswith(inside) for r, _, _ in self._records]

    def _last(self, chosen: list[bool]) -> Position:
        return Position(max((n for n, yes in enumerate(chosen, start=1) if yes), default=0))

    def _some(
        self, chosen: list[bool], after: Position, up_to: Position | None
    ) -> tuple[RecordedEvent, ...]:
        end = len(self._records) if up_to is None else up_to
        return tuple(
            decode(new_event, Position(n), before)
            for n, (_, new_event, before) in enumerate(self._records[:end], start=1)
            if chosen[n - 1] and n > after
        )
