"""Batched reads: one SELECT for all GETs that arrived while the one before was under way.

A single GET waits for no other; under load, GETs share the cost of a round trip
(docs/decisions/012). A batch is bounded in bytes, too: large documents are left out of it, and read
one at a time in a lane of their own.
"""

import asyncio
from collections import deque

from asyncpg import Pool

from secaplane.model.shape import LifeIds, Ref
from secaplane.readmodel.questions.derived import OF_ANY_KIND, shown
from secaplane.readmodel.questions.lives import LIFE_IDS_OF_ANY_KIND, life_ids

LANES = 2
"""SELECTs of small documents under way at once."""
BATCH_MAX = 128
LARGE_BYTES = 64 * 1024
"""Size of a large document."""
ANSWER_S_MAX = 3.0

FoundDocument = tuple[str, bool, LifeIds | None] | None
"""The living resource's document, whether it is quarantined, and the uids that open its secrets, if
its kind has some; None where there is no living resource."""


_Waiting = tuple[Ref, "asyncio.Future[FoundDocument]"]


class _Lane:
    """Reads that wait for the next SELECT of a lane."""

    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._queued = asyncio.Event()

    def put(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._queued.set()

    async def take(self, most: int) -> list[_Waiting]:
        await self._queued.wait()
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
        if not self._queue:
            self._queued.clear()
        return batch


class BatchedReads:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._small, self._large = _Lane(), _Lane()

    async def one(self, ref: Ref) -> FoundDocument:
        """Raises whatever the SELECT raises, or TimeoutError."""
        answer: asyncio.Future[FoundDocument] = asyncio.get_running_loop().create_future()
        self._small.put((ref, answer))
        async with asyncio.timeout(ANSWER_S_MAX):
            return await answer

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._serve(self._small, BATCH_MAX, _SELECT_SMALL))
            group.create_task(self._serve(self._large, 1, _SELECT_ANY))

    async def _serve(self, lane: _Lane, most: int, select: str) -> None:
        while True:
            if batch := await lane.take(most):
                await self._answer(batch, select)

    async def _answer(self, batch: list[_Waiting], select: str) -> None:
        try:
            found = await self._select({ref for ref, _ in batch}, select)
        except Exception as error:  # it is raised again where the answer is awaited
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for ref, answer in batch:
            document = found.get(ref)
            if document is _LARGE:
                self._large.put((ref, answer))
            elif not answer.done():
                answer.set_result(document)

    async def _select(self, refs: set[Ref], select: str) -> dict[Ref, FoundDocument]:
        ordered = list(refs)
        rows = await self._pool.fetch(
            select,
            [ref.kind for ref in ordered],
            [ref.path for ref in ordered],
        )
        return {
            Ref(row[0], row[1]): _LARGE
            if row[2] is None
            else (shown(row[2], row[5], row[6]), row[3], life_ids(row[4]))
            for row in rows
        }


_LARGE: FoundDocument = ("", False, None)
"""Stands for a document that the SELECT left out."""


_SELECT_ANY = f"""
    select r.kind, r.path, r.document,
        exists (select from quarantine as q where q.kind = r.kind and q.path = r.path),
        {LIFE_IDS_OF_ANY_KIND}, {OF_ANY_KIND}
    from unnest($1::text[], $2::text[]) as wanted (kind, path)
    join resources as r on r.kind = wanted.kind and r.path = wanted.path where not r.gone
"""
_SELECT_SMALL = _SELECT_ANY.replace(
    "r.document,", f"case when octet_length(r.document) <= {LARGE_BYTES} then r.document end,", 1
)
"""Sizes are known without reading the documents."""
