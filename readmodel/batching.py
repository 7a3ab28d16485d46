"""Batched reads: one SELECT for all GETs that arrived while the one before was under way.

A single GET waits for no other; under load, GETs share the cost of a round trip
(docs/decisions/012). A batch is bounded in bytes, too: large documents are left out of it, and read
one at a time in a lane of their own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from asyncpg import Pool

from secaplane.model.position import Position
from secaplane.model.shape import LifeIds, Ref
from secaplane.readmodel.questions.derived import OF_ANY_KIND, shown

LANES = 2
"""SELECTs of small documents under way at once."""
BATCH_MAX = 128
LARGE_BYTES = 64 * 1024
"""Size of a large document."""
ANSWER_S_MAX = 3.0


class FoundDocument(NamedTuple):
    """A living resource as a read by name answers it."""

    document: str
    uid: str
    tenant: str
    """The uid of the life of its tenant."""
    stream: str
    sequence: int
    quarantined: bool
    reached: int = 0
    """The checkpoint of its stream, read with the row; 0 where it was not asked for."""

    @property
    def position(self) -> Position:
        """The position of the newest event that the document includes."""
        return Position(self.stream, self.sequence)

    @property
    def life_ids(self) -> LifeIds:
        return LifeIds(self.tenant, self.uid)


Answer = asyncio.Future[FoundDocument | None]


class _Lane:
    """Reads that wait for the next SELECT of a lane."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Ref, Answer]] = deque()
        self._queued = asyncio.Event()

    def put(self, waiting: tuple[Ref, Answer]) -> None:
        self._queue.append(waiting)
        self._queued.set()

    async def take(self, most: int) -> list[tuple[Ref, Answer]]:
        await self._queued.wait()
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
        if not self._queue:
            self._queued.clear()
        return batch


class BatchedReads:
    def __init__(self, pool: Pool, *, compares: Callable[[], bool] = lambda: False) -> None:
        """`compares` is asked before each SELECT: rows are compared with a position, so their
        checkpoint is read with them."""
        self._pool, self._compares = pool, compares
        self._small, self._large = _Lane(), _Lane()

    async def one(self, ref: Ref) -> FoundDocument | None:
        """The living resource; None where there is none.

        Raises whatever the SELECT raises, or TimeoutError.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._small.put((ref, answer))
        async with asyncio.timeout(ANSWER_S_MAX):
            return await answer

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._serve(self._small, BATCH_MAX, _SMALL))
            group.create_task(self._serve(self._large, 1, _ANY))

    async def _serve(self, lane: _Lane, most: int, selects: "_Selects") -> None:
        while True:
            if batch := await lane.take(most):
                compared = self._compares()
                await self._answer(batch, selects.compared if compared else selects.alone)

    async def _answer(self, batch: list[tuple[Ref, Answer]], select: str) -> None:
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
            Ref(kind, path): _LARGE
            if document is None
            else FoundDocument(shown(document, attached, contained), *found)
            for kind, path, document, *found, attached, contained in rows
        }


_LARGE = FoundDocument("", "", "", "", 0, False)
"""Stands for a document that the SELECT left out."""


class _Selects(NamedTuple):
    """A SELECT alone, and the same with the checkpoint of each row's stream: one snapshot."""

    alone: str
    compared: str


_CHECKPOINT = "coalesce((select c.position from checkpoints as c where c.stream = r.stream), 0),"


def _selects(document: str) -> _Selects:
    columns = """r.kind, r.path, {document}, r.uid, r.tenant, r.stream, r.position,
        exists (select from quarantine as q where q.kind = r.kind and q.path = r.path),"""
    rows = "unnest($1::text[], $2::text[]) as wanted (kind, path)"
    rows += " join resources as r on r.kind = wanted.kind and r.path = wanted.path where not r.gone"
    first = columns.format(document=document)
    return _Selects(
        f"select {first} {OF_ANY_KIND} from {rows}",
        f"select {first} {_CHECKPOINT} {OF_ANY_KIND} from {rows}",
    )


_ANY = _selects("r.document")
_SMALL = _selects(f"case when octet_length(r.document) <= {LARGE_BYTES} then r.document end")
"""Sizes are known without reading the documents."""
