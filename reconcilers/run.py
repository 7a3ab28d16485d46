"""Wakes, queue and workers: who looks at which resource, and when again."""

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log, LogUnavailable, UndecodableEvent
from secaplane.kinds import DEPENDENT_KINDS, SHARING_KINDS
from secaplane.model.errors import Unavailable
from secaplane.model.events import Report
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.readmodel.questions import Checkpoints
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.dependents import Dependents
from secaplane.reconcilers.queue import Queue
from secaplane.reconcilers.reconcile import ReconcileDependencies, RequeueAfter, reconcile

WORKERS_MAX = 16
RETRY_S = 0.5
DELAY_S_MIN, DELAY_S_MAX = 0.2, 60.0
log = logging.getLogger("secaplane.reconcilers")


@dataclass
class Reconcilers:
    """All reconcilers of one stream; `started` and `failing` are for onlookers."""

    dependencies: ReconcileDependencies
    events: Log
    pool: Pool
    queue: Queue = field(default_factory=Queue)
    started: bool = False
    done: int = 0
    failures: defaultdict[Ref, int] = field(default_factory=lambda: defaultdict(int))
    neighbours: Dependents = field(init=False)
    _waiting: defaultdict[Ref, set[Ref]] = field(default_factory=lambda: defaultdict(set))
    _news: dict[Ref, Position] = field(default_factory=dict)
    """Where that happened which somebody waited for: who looks again must see at least that."""

    def __post_init__(self) -> None:
        self.neighbours = Dependents(self.pool, self.dependencies.commands)

    async def run(self) -> None:
        checkpoints = await self._refilled()
        self.started = True
        async with asyncio.TaskGroup() as group:
            for stream in self.events.streams.names:
                group.create_task(self._follow(stream, checkpoints.get(stream, BEGINNING)))
            group.create_task(self._concern())
            for _ in range(WORKERS_MAX):
                group.create_task(self._work())

    async def _follow(self, stream: str, position: Position) -> None:
        async for batch in self.events.follow(stream, after=position):
            expected = enumerate(batch, start=position.sequence + 1)
            if any(each.position.sequence != n for n, each in expected):
                self.dependencies.commands.cache.invalidate_all()
                await self._refilled()
            for each in batch:
                self._wake(each)
                position = each.position

    async def _concern(self) -> None:
        """Whoever follows what has changed is looked at again, however finished it is."""
        while True:
            try:
                for ref in await self.neighbours.found():
                    self.queue.add(ref)
            except (*DATABASE_UNAVAILABLE, LogUnavailable) as error:
                log.warning("who is concerned cannot be said", extra={"reason": repr(error)})
                await asyncio.sleep(RETRY_S)

    async def _refilled(self) -> Checkpoints:
        """Tried until the database is there."""
        while True:
            try:
                return await self._refill()
            except DATABASE_UNAVAILABLE as error:
                log.warning("the database is away", extra={"reason": repr(error)})
                await asyncio.sleep(RETRY_S)

    async def _refill(self) -> Checkpoints:
        """What is unfinished as the rows have it, and what has not seen yet how that is which it
        follows: at the start, and when events were skipped."""
        unsettled, checkpoints = await questions.unsettled(self.pool)
        outpaced = await questions.outpaced(self.pool, DEPENDENT_KINDS)
        sharing, _ = await questions.living_of(self.pool, SHARING_KINDS)
        for ref in (*unsettled, *outpaced, *(resource.ref for resource in sharing)):
            self.queue.add(ref)
        return checkpoints

    def _wake(self, followed: Followed) -> None:
        """Intents wake their resource; any event wakes who waits for its resource."""
        self.dependencies.commands.cache.invalidate(followed.ref)
        for waiting in self._waiting.pop(followed.ref, ()):
            self._news[waiting] = followed.position
            self.queue.add(waiting)
        self.neighbours.notice(followed)
        if not isinstance(followed, UndecodableEvent) and not isinstance(followed.event, Report):
            self.queue.add(followed.ref)

    async def _work(self) -> None:
        while True:
            ref = await self.queue.get()
            try:
                await self._look(ref)
            finally:
                self.queue.done(ref)

    async def _look(self, ref: Ref) -> None:
        began = time.perf_counter()
        try:
            again = await reconcile(self.dependencies, ref, self._news.pop(ref, BEGINNING))
        except Exception as error:  # one resource's trouble, or a cloud's, is nobody else's
            self._failed(ref, error)
            return
        self.failures.pop(ref, None)
        self.done += 1
        if again is not None:
            self.queue.add(ref, seconds=self._wait_s(ref, again))
        log.debug(
            "reconciled",
            extra={"ref": ref.path, "took_ms": round((time.perf_counter() - began) * 1000, 2)},
        )

    def _wait_s(self, ref: Ref, again: RequeueAfter) -> float:
        """Whoever begins to wait looks once more at once: what it waits for may have come while it
        looked, and will not wake it again."""
        if again.waits_for is None or ref in self._waiting[again.waits_for]:
            return again.seconds
        self._waiting[again.waits_for].add(ref)
        return 0.0

    def _failed(self, ref: Ref, error: Exception) -> None:
        """The first failure may be weather; growing delays spare whoever is in trouble."""
        self.failures[ref] += 1
        delay = min(DELAY_S_MAX, DELAY_S_MIN * 2 ** min(self.failures[ref] - 1, 16))
        expected = isinstance(error, (Unavailable, OSError, TimeoutError))
        log.warning(
            "looking again later",
            exc_info=None if expected else error,
            extra={"ref": ref.path, "delay_s": delay, "reason": f"{type(error).__name__}: {error}"},
        )
        self.queue.add(ref, seconds=delay)
