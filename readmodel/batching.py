"""Batched reads: one SELECT for all GETs that arrived while the one before was under way.

A single GET waits for no other; under load, GETs share the cost of a round trip
(docs/decisions/012).
"""

import asyncio
from collections import deque
from typing import NamedTuple

from asyncpg import Pool

from secaplane.model.position import Position
from secaplane.model.shape import Ref
from secaplane.readmodel.questions.derived import OF_ANY_KIND, shown

LANES = 2
"""SELECTs under way at once."""
BATCH_MAX = 128
ANSWER_S_MAX = 3.0


class FoundDocument(NamedTuple):
    """A living resource as a read by name answers it."""

    document: str
    uid: str
    stream: str
    sequence: int
    quarantined: bool

    @property
    def position(self) -> Position:
        """The position of the newest event that the document includes."""
        return Position(self.stream, self.sequence)


Answer = asyncio.Future[FoundDocument | None]


class BatchedReads:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queue: deque[tuple[Ref, Answer]] = deque()
        self._queued = asyncio.Event()

    async def one(self, ref: Ref) -> FoundDocument | None:
        """The living resource; None where there is none.

        Raises whatever the SELECT raises, or TimeoutError.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._queue.append((ref, answer))
        self._queued.set()
        async with asyncio.timeout(ANSWER_S_MAX):
            return await answer

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            await self._queued.wait()
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
            if not self._queue:
                self._queued.clear()
            if batch:
                await self._answer(batch)

    async def _answer(self, batch: list[tuple[Ref, Answer]]) -> None:
        try:
            found = await self._select({ref for ref, _ in batch})
        except Exception as error:  # it is raised again where the answer is awaited
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for ref, answer in batch:
            if not answer.done():
                answer.set_result(found.get(ref))

    async def _select(self, refs: set[Ref]) -> dict[Ref, FoundDocument]:
        ordered = list(refs)
        rows = await self._pool.fetch(
            _SELECT,
            [ref.kind for ref in ordered],
            [ref.path for ref in ordered],
        )
        return {
            Ref(kind, path): FoundDocument(shown(document, attached, contained), *found)
            for kind, path, document, *found, attached, contained in rows
        }


_SELECT = f"""
    select r.kind, r.path, r.document, r.uid, r.stream, r.position,
        exists (select from quarantine as q where q.kind = r.kind and q.path = r.path),
        {OF_ANY_KIND}
    from unnest($1::text[], $2::text[]) as wanted (kind, path)
    join resources as r on r.kind = wanted.kind and r.path = wanted.path where not r.gone
"""
