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
QUEUED_S_MAX = 2.0
"""A read that has waited so long for its turn fails."""
SELECT_S_MAX = 2.0


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


class _Read(NamedTuple):
    ref: Ref
    answer: Answer
    until: float
    """Seconds of the loop's clock: a read that is still queued then fails."""


class _Lane:
    """Reads that wait for the next SELECT of a lane."""

    def __init__(self) -> None:
        self._queue: deque[_Read] = deque()
        self._queued = asyncio.Event()

    def put(self, read: _Read) -> None:
        self._queue.append(read)
        self._queued.set()

    async def take(self, most: int) -> list[_Read]:
        """The next reads whose caller still waits."""
        await self._queued.wait()
        batch, now = list[_Read](), asyncio.get_running_loop().time()
        while self._queue and len(batch) < most:
            read = self._queue.popleft()
            if read.answer.done():
                continue
            if read.until < now:
                read.answer.set_exception(TimeoutError())
            else:
                batch.append(read)
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

        Raises whatever the SELECT raises, or TimeoutError after QUEUED_S_MAX and SELECT_S_MAX. A
        timer for each read would cost more than the rest of this.
        """
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        self._small.put(_Read(ref, answer, loop.time() + QUEUED_S_MAX))
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

    async def _answer(self, batch: list[_Read], select: str) -> None:
        try:
            async with asyncio.timeout(SELECT_S_MAX):
                found = await self._select({each.ref for each in batch}, select)
        except Exception as error:  # it is raised again where the answer is awaited
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        for each in batch:
            document = found.get(each.ref)
            if document is _LARGE:
                self._large.put(each)
            elif not each.answer.done():
                each.answer.set_result(document)

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
