"""Filling: read models get the rows of a stream in large batches, up to a position.

A rebuild, a replay and a check fill read models that have no readers yet, with the projector's own
batches: nothing is announced. Checkpoint and rows move together, so a filling that was killed is
resumed by another one.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log
from secaplane.model.bounded_cache import event_bytes
from secaplane.model.events import RecordedEvent
from secaplane.model.position import Position
from secaplane.projector.folding import ProjectedEvent
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.projector.sources import projector_of
from secaplane.readmodel.announcements import Announcer

BATCH_MAX, BATCH_BYTES_MAX = 4000, 16 * 1024 * 1024
"""At most three batches are in memory, for each read model one that waits."""
Batches = asyncio.Queue[Sequence[Followed]]


class Silent(Announcer):
    """For a read model that has no readers yet."""

    def __init__(self) -> None: ...

    async def announce(self, reached: Position, *, last: bool = False) -> None: ...


class OnceFolded(SharedStream):
    """A stream whose events reach several projectors: each is folded by the first one, for all."""

    def __init__(self, log: Log, name: str) -> None:
        super().__init__(log, name)
        self._memo: dict[int, ProjectedEvent] = {}

    def folded(self, event: RecordedEvent) -> ProjectedEvent | None:
        return self._memo.get(event.position.sequence)

    def remember(self, folded: ProjectedEvent) -> None:
        self._memo[folded.event.position.sequence] = folded

    def forget(self, up_to: Position) -> None:
        """Every projector has written the events up to a position."""
        while self._memo and (first := next(iter(self._memo))) <= up_to.sequence:
            del self._memo[first]


class Filling:
    """Fills read models from one stream. Each batch is fetched, decoded and folded once. A read
    model that has written a batch goes on with the next one, while others write, and while later
    ones are fetched."""

    def __init__(
        self,
        stream: OnceFolded,
        projectors: Sequence[Projector],
        batches: AsyncGenerator[Sequence[Followed], None],
        batch_done: Callable[[], object],
    ) -> None:
        self._stream, self._projectors = stream, projectors
        self._batches, self._batch_done = batches, batch_done
        self._fetched = self.position
        self._rest: Sequence[Followed] = ()
        """Fetched events behind the position that was asked for."""

    @property
    def stream(self) -> str:
        return self._stream.name

    @property
    def position(self) -> Position:
        """The position that every read model has reached."""
        return min(each.position for each in self._projectors)

    async def fill(self, up_to: Position) -> None:
        """Write every event up to and including a position. A position that the log has lost counts
        as reached as soon as a later event has arrived.

        Raises:
            LogGap: a position before it is missing.
        """
        queues = [Batches(1) for _ in self._projectors]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fetch(up_to, queues))
                for projector, batches in zip(self._projectors, queues, strict=True):
                    tasks.create_task(self._write(projector, batches))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _fetch(self, up_to: Position, queues: Sequence[Batches]) -> None:
        while batch := await self._batch(up_to):
            for each in queues:
                await each.put(batch)
        for each in queues:
            await each.put(())

    async def _write(self, projector: Projector, batches: Batches) -> None:
        while batch := await batches.get():
            await projector.project(batch)
            self._stream.forget(self.position)
            self._batch_done()

    async def _batch(self, up_to: Position) -> Sequence[Followed]:
        """The next events; none where all up to that position were fetched."""
        batch: list[Followed] = []
        size = 0
        while self._fetched < up_to and len(batch) < BATCH_MAX and size < BATCH_BYTES_MAX:
            arrived = self._rest or await anext(self._batches)
            number = bisect_right(arrived, up_to.sequence, key=_sequence)
            taken, self._rest = arrived[:number], arrived[number:]
            if taken:
                self._fetched = taken[-1].position
            batch += taken
            size += sum(map(event_bytes, taken))
            if self._rest:
                break
        return batch


@asynccontextmanager
async def filling(
    log: Log,
    stream: str,
    pools: Mapping[ProjectionGroup, Pool],
    *,
    region: str,
    batch_done: Callable[[], object],
) -> AsyncIterator[Filling]:
    """The filling of a read model of each group from one stream, from its checkpoint on."""
    shared = OnceFolded(log, stream)
    projectors = [
        projector_of(group, pool, shared, Silent(), region) for group, pool in pools.items()
    ]
    for each in projectors:
        await each.begin()
    begin = min(each.position for each in projectors)
    async with aclosing(log.follow(stream, after=begin)) as batches:
        yield Filling(shared, projectors, batches, batch_done)


def _sequence(followed: Followed) -> int:
    return followed.position.sequence
