"""The log as a list: for tests, and for readers who want to know what a log is.

It writes and reads bytes as the real one does, so nothing survives here that would not there.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from secaplane.eventlog.codec import Page, Unreadable, decode, encode
from secaplane.eventlog.log import Blank, Followed, Guard, Raced
from secaplane.eventlog.subjects import prefix, subject
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import NOWHERE, Position, Ref

BATCH_MAX = 256
QUIET_S = 0.25


class MemoryLog:
    def __init__(self, region: str) -> None:
        self._region = region
        self._pages: list[tuple[Ref, bytes, Position | None]] = []
        self._grew = asyncio.Event()

    async def append(
        self, page: Page, *, after: Position, guard: Guard | None = None
    ) -> RecordedEvent:
        if guard is not None:
            now, expected = await self.last_within(guard.around), guard.after
        else:
            now, expected = await self.last(page.ref), after
        if now != expected:
            raise Raced
        before = None if guard else after
        self._pages.append((page.ref, encode(page), before))
        self._grew.set()
        return decode(self._pages[-1][1], Position(len(self._pages)), before)

    async def last(self, ref: Ref) -> Position:
        return self._last([r == ref for r, _, _ in self._pages])

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        last = await self.last(ref)
        history = await self.read(ref, after=Position(last - 1), up_to=last)
        return history[-1] if history else None

    async def last_within(self, ref: Ref) -> Position:
        return self._last(self._within(ref))

    async def last_of(self, kind: str) -> Position:
        return self._last([r.kind == kind for r, _, _ in self._pages])

    async def end(self) -> Position:
        return Position(len(self._pages))

    async def read(
        self, ref: Ref, *, after: Position = NOWHERE, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        return self._some([r == ref for r, _, _ in self._pages], after, up_to)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[RecordedEvent, ...]:
        return self._some(self._within(ref), after, up_to)

    async def touched(self, kind: str, *, after: Position, up_to: Position) -> frozenset[Ref]:
        return frozenset(r for r, _, _ in self._pages[after:up_to] if r.kind == kind)

    async def follow(self, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        while True:
            batch = [self._at(n) for n in range(after, len(self._pages))[:BATCH_MAX]]
            if batch:
                after = batch[-1].position
            yield batch
            if after == len(self._pages):
                self._grew.clear()
                try:
                    async with asyncio.timeout(QUIET_S):
                        await self._grew.wait()
                except TimeoutError:
                    pass

    def _at(self, index: int) -> Followed:
        ref, page, before = self._pages[index]
        try:
            return decode(page, Position(index + 1), before)
        except Unreadable as reason:
            return Blank(ref, Position(index + 1), str(reason))

    def _within(self, ref: Ref) -> list[bool]:
        inside = prefix(ref, self._region).removesuffix(">")
        return [subject(r, self._region).startswith(inside) for r, _, _ in self._pages]

    def _last(self, chosen: list[bool]) -> Position:
        return Position(max((n for n, yes in enumerate(chosen, start=1) if yes), default=0))

    def _some(
        self, chosen: list[bool], after: Position, up_to: Position | None
    ) -> tuple[RecordedEvent, ...]:
        end = len(self._pages) if up_to is None else up_to
        return tuple(
            decode(page, Position(n), before)
            for n, (_, page, before) in enumerate(self._pages[:end], start=1)
            if chosen[n - 1] and n > after
        )
