"""GETs that come at the same time are asked together: one SELECT for all that came meanwhile.

Alone, a GET waits for nobody; under load, the price of a round trip is shared.
"""

import asyncio
from collections import deque

from asyncpg import Pool

from secaplane.model.shape import Ref
from secaplane.readmodel.questions.derived import OF_ANY_KIND, shown

LANES = 2
"""SELECTs under way at once."""
BATCH_MAX = 128
ANSWER_S_MAX = 3.0

FoundDocument = tuple[str, bool] | None
"""The living resource's document, and whether it is quarantined; None where there is none."""


class BatchedReads:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asked: deque[tuple[Ref, asyncio.Future[FoundDocument]]] = deque()
        self._some = asyncio.Event()

    async def one(self, ref: Ref) -> FoundDocument:
        """Raises whatever the SELECT raises, or TimeoutError."""
        answer: asyncio.Future[FoundDocument] = asyncio.get_running_loop().create_future()
        self._asked.append((ref, answer))
        self._some.set()
        async with asyncio.timeout(ANSWER_S_MAX):
            return await answer

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        while True:
            await self._some.wait()
            taken = [self._asked.popleft() for _ in range(min(len(self._asked), BATCH_MAX))]
            if not self._asked:
                self._some.clear()
            if taken:
                await self._answer(taken)

    async def _answer(self, taken: list[tuple[Ref, "asyncio.Future[FoundDocument]"]]) -> None:
        try:
            found = await self._select({ref for ref, _ in taken})
        except Exception as error:  # it is raised again where the answer is awaited
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(error)
            return
        for ref, answer in taken:
            if not answer.done():
                answer.set_result(found.get(ref))

    async def _select(self, refs: set[Ref]) -> dict[Ref, FoundDocument]:
        wanted = list(refs)
        rows = await self._pool.fetch(
            _SELECT,
            [ref.kind for ref in wanted],
            [ref.path for ref in wanted],
        )
        return {Ref(row[0], row[1]): (shown(row[2], row[4], row[5]), row[3]) for row in rows}


_SELECT = f"""
    select r.kind, r.path, r.document, r.quarantined, {OF_ANY_KIND}
    from unnest($1::text[], $2::text[]) as wanted (kind, path)
    join resources as r on r.kind = wanted.kind and r.path = wanted.path where not r.gone
"""
