"""Batched reads: one SELECT for all GETs that arrived while the one before was under way.

A single GET waits for no other; under load, GETs share the cost of a round trip
(docs/decisions/012).
"""

import asyncio
from collections import deque

from asyncpg import Pool

from secaplane.model.shape import LifeIds, Ref
from secaplane.readmodel.questions.derived import OF_ANY_KIND, shown
from secaplane.readmodel.questions.lives import LIFE_IDS_OF_ANY_KIND, life_ids

LANES = 2
"""SELECTs under way at once."""
BATCH_MAX = 128
ANSWER_S_MAX = 3.0

FoundDocument = tuple[str, bool, LifeIds | None] | None
"""The living resource's document, whether it is quarantined, and the uids that open its secrets, if
its kind has some; None where there is no living resource."""


class BatchedReads:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queue: deque[tuple[Ref, asyncio.Future[FoundDocument]]] = deque()
        self._queued = asyncio.Event()

    async def one(self, ref: Ref) -> FoundDocument:
        """Raises whatever the SELECT raises, or TimeoutError."""
        answer: asyncio.Future[FoundDocument] = asyncio.get_running_loop().create_future()
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

    async def _answer(self, batch: list[tuple[Ref, "asyncio.Future[FoundDocument]"]]) -> None:
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
            Ref(row[0], row[1]): (shown(row[2], row[5], row[6]), row[3], life_ids(row[4]))
            for row in rows
        }


_SELECT = f"""
    select r.kind, r.path, r.document,
        exists (select from quarantine as q where q.kind = r.kind and q.path = r.path),
        {LIFE_IDS_OF_ANY_KIND}, {OF_ANY_KIND}
    from unnest($1::text[], $2::text[]) as wanted (kind, path)
    join resources as r on r.kind = wanted.kind and r.path = wanted.path where not r.gone
"""
