"""The controller: events wake addresses, a queue orders them, workers reconcile them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import (
    Followed,
    Log,
    LogUnavailable,
    OutdatedAnswer,
    UndecodableEvent,
)
from secaplane.kinds import DEPENDENT_KINDS, KINDS, SHARING_KINDS
from secaplane.model.errors import Damaged
from secaplane.model.events import DeletionRequested, Report
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref
from secaplane.plugins.plugin import FenceRejected
from secaplane.readmodel import questions
from secaplane.readmodel.questions import Checkpoints
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.dependents import Dependents
from secaplane.reconcilers.in_flight import InFlight
from secaplane.reconcilers.leases.held_queue import HeldQueue
from secaplane.reconcilers.leases.lease import LeaseLost
from secaplane.reconcilers.leases.leases import Leases
from secaplane.reconcilers.leases.partitions import ALL, partition_of
from secaplane.reconcilers.queue import WORKERS_MAX
from secaplane.reconcilers.reconcile import RequeueAfter, reconcile
from secaplane.reconcilers.wakes.outages import OutageBackoff, ReleasedAddress
from secaplane.reconcilers.wakes.systems import system_of
from secaplane.reconcilers.wakes.unsettled import UnsettledRows

RETRY_S, PATIENCE_S = 0.5, 2.0
DELAY_S_MIN, DELAY_S_MAX = 0.2, 60.0
log = logging.getLogger("secaplane.reconcilers")


@dataclass
class Reconcilers:
    """The reconcilers of one process, for the partitions that it holds; `started`, `done` and
    `failures` are shown in health and metrics. Every process follows every event, so what waits
    for a resource is woken here, whichever process reconciles that resource."""

    dependencies: ReconcileDependencies
    events: Log
    pool: Pool
    leases: Leases
    queue: HeldQueue = field(init=False)
    started: bool = False
    done: int = 0
    failures: defaultdict[Ref, int] = field(default_factory=lambda: defaultdict(int))
    """Consecutive failures of each address; a success forgets them."""
    parked: dict[Ref, Ref] = field(default_factory=dict)
    """Address -> the one whose history it cannot be reconciled without, and cannot read."""
    outages: OutageBackoff = field(default_factory=OutageBackoff)
    dependents: Dependents = field(init=False)
    in_flight: InFlight = field(default_factory=InFlight)
    _waiting: defaultdict[Ref, set[Ref]] = field(default_factory=lambda: defaultdict(set))
    """Target -> addresses that any event of the target wakes."""
    _woken_by: dict[Ref, Position] = field(default_factory=dict)
    """The event that woke an address: its reconciliation reads a read model that has it."""
    _followed: dict[str, Position] = field(default_factory=dict)
    """Stream -> the last event that this process was notified of."""

    def __post_init__(self) -> None:
        self.queue = HeldQueue(self.leases)
        self.dependents = Dependents(self.pool, self.dependencies.commands)

    async def run(self) -> None:
        self.leases.on_gain = self.dependencies.commands.cache.stop_using_followed
        await self.leases.joined.wait()
        self.leases.take_changes()  # the first refill covers them
        checkpoints = await self._refilled(ALL)
        self.started = True
        async with asyncio.TaskGroup() as group:
            for stream in self.events.streams.names:
                group.create_task(self._follow(stream, checkpoints.get(stream, BEGINNING)))
            group.create_task(self._requeue_dependents())
            group.create_task(self._take_over())
            group.create_task(self._requeue_unsettled())
            group.create_task(self._probe_outages())
            for _ in range(WORKERS_MAX):
                group.create_task(self._work())

    async def _follow(self, stream: str, position: Position) -> None:
        """A gap in the sequences means that events were lost on the way: nothing cached is current,
        and the queue is filled from the read model again."""
        self._followed[stream] = position
        async for batch in self.events.follow(stream, after=position):
            expected = enumerate(batch, start=position.sequence + 1)
            if any(each.position.sequence != n for n, each in expected):
                self.dependencies.commands.cache.invalidate_all()
                await self._refilled(ALL)
            for each in batch:
                self.wake(each)
                self._followed[stream] = position = each.position

    async def _use_followed(self) -> None:
        """Allow reconciliations from followed events after the present end of the log: what former
        holders of the partitions have done is recorded before it. Retries until the log answers."""
        for stream in self.events.streams.names:
            end = await self._end(stream)
            if self.leases.gaining:
                return  # that end was asked for too early for those partitions
            self.dependencies.commands.cache.use_followed(stream, end)

    async def _end(self, stream: str) -> Position:
        while True:
            try:
                return await self.events.end(stream)
            except LogUnavailable as error:
                log.info("the log is unavailable", extra={"reason": reason_of(error)})
                await asyncio.sleep(RETRY_S)

    async def _requeue_dependents(self) -> None:
        """Dependents of a changed resource are reconciled, also when they are settled."""
        while True:
            try:
                for ref in await self.dependents.next_batch():
                    self.queue.add(ref, background=True)
            except (*DATABASE_UNAVAILABLE, LogUnavailable) as error:
                log.warning(
                    "dependent resources could not be looked up", extra={"reason": reason_of(error)}
                )
                await asyncio.sleep(RETRY_S)

    async def _take_over(self) -> None:
        """Queue what is unsettled in partitions that were gained, and drop what belongs to those
        that were lost. Events that this process has followed before it held a partition queued
        nothing: the rows are read when they have them. Later events queue their resource."""
        await self._use_followed()
        while True:
            gained, lost = await self.leases.changes()
            if lost:
                self._drop_lost()
            if gained:
                await self._use_followed()
                while not await self.dependencies.commands.reached(
                    list(self._followed.values()), PATIENCE_S
                ):
                    pass  # addresses of the partitions that have events are reconciled meanwhile
                await self._refilled(gained)

    def _drop_lost(self) -> None:
        holds = self.leases.holds
        self.queue.drop_lost()
        self.outages.keep(holds)
        for mapping in (self.failures, self.parked, self._woken_by):
            for ref in [each for each in mapping if not holds(each)]:
                del mapping[ref]
        for target in list(self._waiting):
            self._waiting[target] = {each for each in self._waiting[target] if holds(each)}
            if not self._waiting[target]:
                del self._waiting[target]

    async def _requeue_unsettled(self) -> None:
        """An address that is queued already, also for later, keeps its time."""
        rows = UnsettledRows(self.pool)
        while True:
            try:
                async for page in rows.pages():
                    for ref in page:
                        if self.leases.holds(ref) and ref not in self.queue:
                            log.info("queued again: it stays unsettled", extra={"ref": ref.path})
                            self.queue.add(ref)
            except DATABASE_UNAVAILABLE as error:
                log.warning(
                    "unsettled resources could not be read", extra={"reason": reason_of(error)}
                )
            await rows.pause()

    async def _probe_outages(self) -> None:
        while True:
            await asyncio.sleep(self.outages.probe_delay_s())
            for ref in self.outages.probes():
                self.queue.add(ref)

    def _requeue_released(self, released: Sequence[ReleasedAddress]) -> None:
        """The addresses that failed in an outage which is over."""
        for ref, seconds in released:
            self.queue.add(ref, seconds=seconds)
        if released:
            log.info("outage over: resources queued again", extra={"resources": len(released)})

    async def _refilled(self, partitions: Collection[str]) -> Checkpoints:
        """Retries until the database answers."""
        while True:
            try:
                return await self._refill(partitions)
            except DATABASE_UNAVAILABLE as error:
                log.warning("database unavailable", extra={"reason": reason_of(error)})
                await asyncio.sleep(RETRY_S)

    async def _refill(self, partitions: Collection[str]) -> Checkpoints:
        """Queue every unsettled resource of the read model, and every dependent that has not been
        reconciled since its target changed: at the start, after lost events, and of partitions
        that were gained."""
        unsettled, checkpoints = await questions.unsettled(self.pool)
        outpaced = await questions.outpaced(self.pool, DEPENDENT_KINDS)
        sharing = await questions.living_of(self.pool, SHARING_KINDS)
        for ref, terminating in unsettled:
            if partition_of(ref) in partitions:
                self.queue.add(ref, background=terminating)
        for ref in (*outpaced, *sharing):
            if partition_of(ref) in partitions:
                self.queue.add(ref, background=True)
        return checkpoints

    def wake(self, followed: Followed) -> None:
        """An intent event queues its resource; any event queues the addresses that wait for its
        resource."""
        self.dependencies.commands.cache.advance(followed)
        for waiting in self._waiting.pop(followed.ref, ()):
            self._woken_by[waiting] = followed.position
            self.queue.add(waiting)
        self.dependents.notice(followed)
        if isinstance(followed, UndecodableEvent) or followed.ref.kind not in KINDS:
            return
        if not isinstance(followed.event, Report) and self.leases.holds(followed.ref):
            self._woken_by[followed.ref] = followed.position
            removal = isinstance(followed.event, DeletionRequested)
            self.queue.add(followed.ref, background=removal)

    @contextmanager
    def working(self, ref: Ref) -> Iterator[ReconcileDependencies | None]:
        """The dependencies for calls and reports about an address, under the tenure of its
        partition; None if another process holds it."""
        with self.leases.working(ref) as tenure:
            background = self.queue.in_background(ref)
            dependencies = self.dependencies
            yield dependencies.under(tenure, background=background) if tenure else None

    async def _work(self) -> None:
        while True:
            await self.leases.usable()
            ref = await self.queue.get()
            try:
                if self.in_flight.closed:
                    return
                with self.in_flight, self.working(ref) as dependencies:
                    if dependencies is not None:
                        await self._reconcile(ref, dependencies)
            finally:
                self.queue.done(ref)

    async def _reconcile(self, ref: Ref, dependencies: ReconcileDependencies) -> None:
        began = time.perf_counter()
        try:
            again = await reconcile(dependencies, ref, self._woken_by.pop(ref, BEGINNING))
        except (Undecodable, Damaged) as error:
            self._park(ref, error.ref or ref, str(error))
            return
        except LeaseLost as lost:
            log.info("reconciliation ended", extra={"ref": ref.path, "reason": str(lost)})
            self.queue.add(ref, seconds=RETRY_S)
            return
        except FenceRejected as rejection:
            self._superseded(ref, rejection)
            return
        except OutdatedAnswer as error:  # nothing is wrong with the resource
            log.info("log lags", extra={"ref": ref.path, "reason": str(error)})
            self.queue.add(ref, seconds=DELAY_S_MIN)
            return
        except Exception as error:  # a failure of one resource must not stop the others
            self._requeue_failed(ref, error)
            return
        self.failures.pop(ref, None)
        self.parked.pop(ref, None)
        self._requeue_released(self.outages.succeeded(ref))
        self.done += 1
        if again is not None:
            self.queue.add(ref, seconds=self._delay_s(ref, again))
        log.debug(
            "reconciled",
            extra={"ref": ref.path, "took_ms": round((time.perf_counter() - began) * 1000, 2)},
        )

    def _delay_s(self, ref: Ref, again: RequeueAfter) -> float:
        """An address that begins to wait is reconciled once more at once: the event it waits for
        may have come during the reconciliation, and does not come again."""
        if again.waits_for is None or ref in self._waiting[again.waits_for]:
            return again.seconds
        self._waiting[again.waits_for].add(ref)
        return 0.0

    def _park(self, ref: Ref, damaged: Ref, reason: str) -> None:
        """Retries would fail until the damaged history has another event, which wakes the address.
        It is tried once more at once, as in `_delay_s`."""
        self.failures.pop(ref, None)
        self._requeue_released(self.outages.answered(ref))
        if ref not in self._waiting[damaged]:
            self._waiting[damaged].add(ref)
            self.queue.add(ref)
        elif self.parked.get(ref) != damaged:
            self.parked[ref] = damaged
            log.error(
                "parked until a damaged history goes on",
                extra={"ref": ref.path, "damaged": damaged.path, "reason": reason},
            )

    def _superseded(self, ref: Ref, rejection: FenceRejected) -> None:
        """Another process has called the cloud for this resource since: this process reports
        nothing, and reads the state again after the longest backoff."""
        self.failures.pop(ref, None)
        self._requeue_released(self.outages.answered(ref))
        log.warning(
            "call rejected: another reconcilers process has a newer fence",
            extra={"ref": ref.path, "delay_s": DELAY_S_MAX, "reason": str(rejection)},
        )
        self.queue.add(ref, seconds=DELAY_S_MAX)

    def _requeue_failed(self, ref: Ref, error: Exception) -> None:
        """Exponential backoff: 0.2 s after the first failure, doubled up to 60 s, or until the end
        of the outage that made it fail."""
        system = system_of(error)
        if system is None:
            self._requeue_released(self.outages.answered(ref))
        else:
            self.outages.failed(ref, system)
        self.failures[ref] += 1
        self.parked.pop(ref, None)
        delay = min(DELAY_S_MAX, DELAY_S_MIN * 2 ** min(self.failures[ref] - 1, 16))
        log.warning(
            "requeued with backoff",
            exc_info=None if system else error,
            extra={"ref": ref.path, "delay_s": delay, "reason": reason_of(error)},
        )
        self.queue.add(ref, seconds=delay)
