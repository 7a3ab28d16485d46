"""One resource by its name, never older than the log's newest event of that address.

A row answers as long as this process knows of every write that was answered, and the rows have
reached them; where that is in doubt, the checkpoint that was read with the row says it. Otherwise,
and where there is no row, the newest event of the address decides: the row is current, or there is
no such resource, or the answer is the resource as `evolve` makes it. If the log does not answer,
the rows get a bounded time to reach the known position; if the database does not, the log answers
(docs/decisions/035).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from asyncpg import Pool

from secaplane.kinds import KINDS
from secaplane.model.document import document, encode
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel import questions
from secaplane.readmodel.batching import BatchedReads, FoundDocument
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.resource_log import NewestEvent, ResourceLog
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

READ_S_MAX = 5.0
"""A read by name ends within that time, whatever has stopped answering."""
UNKNOWN = "neither the log nor the read model can answer now; try again"


async def _never() -> bool:
    return False


@dataclass(frozen=True)
class ByName:
    """Reads one living resource."""

    pool: Pool
    batched: BatchedReads
    progress: Progress
    log: ResourceLog
    stream: Callable[[str], str]
    """(kind) -> the stream that records it."""
    reached: Callable[[Sequence[Position], bool], Awaitable[bool]]
    """(positions, patient) -> wait until the rows have reached them; False if they do not in time.
    A caller that is not patient does not wait while the projector stands still."""
    region: str
    informed: Callable[[], bool] = lambda: True
    """True while this process knows of every write that was answered
    (`readmodel.known_writes`)."""
    reconnected: Callable[[], Awaitable[bool]] = _never
    """Waits for a bounded time for a lost connection to the log; True if there is one again."""
    streaming: Callable[[], bool] = lambda: False
    """True on a streaming replica of PostgreSQL, which may be behind what is announced."""

    async def living(self, ref: Ref, required: Position = BEGINNING) -> FoundDocument | None:
        """The document of a resource by its address in the log; None if there is none. `required`
        is a position in its stream that the answer must include.

        Raises:
            Damaged: one of its events could not be decoded or applied.
            Unavailable: neither the log nor the rows can answer.
        """
        known, informed = self._known(ref.kind, required), self.informed()
        deadline = asyncio.get_running_loop().time() + READ_S_MAX
        if known:
            await self.progress.soon(known)
        try:
            row = await self.batched.one(ref)
        except DATABASE_UNAVAILABLE:
            if _shows_others(ref):
                raise
            async with _until(deadline):
                return await self._folded(ref, await self.log.newest(ref, known=known))
        if row is not None and informed and row.reached >= known.sequence and not row.quarantined:
            return row
        async with _until(deadline):
            return await self._with_log(ref, row, known, required)

    async def _with_log(
        self, ref: Ref, row: FoundDocument | None, known: Position, required: Position
    ) -> FoundDocument | None:
        if await self._quarantined(ref, row):
            if known and not (await self.log.newest(ref, known=known)).living:
                return None  # an operator has closed it, which is not projected yet
            raise Damaged
        try:
            return await self._compared(ref, row, known)
        except Unavailable as error:
            with suppress(Unavailable):
                if await self.reconnected():
                    return await self._compared(ref, row, known)
            if required:
                raise error from None
            return await self._without_log(ref, known)

    async def missing(self, positions: Sequence[Position]) -> Sequence[Position]:
        """Those of some positions that the rows have not reached after a bounded time."""
        if not positions or await self.reached(positions, True):
            return ()
        return [each for each in positions if self.progress.position(each.stream) < each]

    async def caught_up(self, tenant: str) -> None:
        """Wait, for a bounded time, for the writes in a tenant that were answered before the rows
        reached them: a list shows them if it can."""
        if self.progress.behind and (positions := [*self.progress.acknowledged(tenant)]):
            await self.reached(positions, True)

    def _known(self, kind: str, required: Position) -> Position:
        """The newest known position of the kind's stream that the rows may not have reached;
        BEGINNING while they have reached all."""
        if self.streaming():
            return max(self.progress.newest(self.stream(kind)), required)
        if not self.progress.behind and not required:
            return BEGINNING
        return max(self.progress.behind.get(self.stream(kind), BEGINNING), required)

    async def _quarantined(self, ref: Ref, row: FoundDocument | None) -> bool:
        if row is not None:
            return row.quarantined
        return await questions.quarantined(self.pool, ref)

    async def _compared(
        self, ref: Ref, row: FoundDocument | None, known: Position
    ) -> FoundDocument | None:
        """Raises Unavailable where the log does not answer."""
        newest = await self.log.newest(ref, known=known)
        if row is not None and newest.position <= row.position:
            return row  # an answer of the log that is older than the row decides nothing
        return await self._folded(ref, newest)

    async def _folded(self, ref: Ref, newest: NewestEvent) -> FoundDocument | None:
        return await self._made(await self.log.resource(ref) if newest.living else None)

    async def _without_log(self, ref: Ref, known: Position) -> FoundDocument | None:
        """Nothing can be appended now, but the rows may still be behind what was: they get a
        bounded time. A row is answered even if they do not catch up, because one event of another
        resource that is not projected must not end all reads; but not one that leaves out a write
        of its own resource that was acknowledged."""
        if known:
            await self.reached([known], False)
        row = await self.batched.one(ref)
        cached = self.log.cached(ref)
        written = self.progress.written(ref, self.stream(ref.kind))
        if cached is not None and (row is None or row.position < cached.position):
            if written <= cached.position:
                return await self._made(cached)
        elif row is not None and written <= row.position:
            return row
        raise Unavailable(UNKNOWN)

    async def _made(self, resource: Resource | None) -> FoundDocument | None:
        """The document that the projector would write, with the fields that are derived from other
        rows as they are now; None for a resource that is gone."""
        if resource is None or resource.gone:
            return None
        kind, position = KINDS[resource.ref.kind], resource.position
        made = encode(document(kind, resource, region=self.region)).decode()
        shown = await questions.with_derived(self.pool, resource.ref, made)
        return FoundDocument(
            shown, resource.uid, resource.tenant, position.stream, position.sequence, False
        )


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as error:
        raise Unavailable(UNKNOWN) from error


def _shows_others(ref: Ref) -> bool:
    """True for kinds whose status has fields that follow from the rows of other resources."""
    shows = KINDS[ref.kind].derived
    return shows.attached_to or shows.resource_count
