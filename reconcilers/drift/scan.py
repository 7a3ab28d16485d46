"""The scan for drift: every settled resource is compared with the cloud, at a steady rate.

A difference is reported only when it is seen twice, some seconds apart, while the resource has had
no event and is not being reconciled: a change in flight is no drift.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import LogUnavailable
from secaplane.kinds import KINDS
from secaplane.model.errors import Damaged, Refusal
from secaplane.model.explained import open_drift
from secaplane.model.kind import Backing
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins.plugin import Absent, FenceRejected, Observation
from secaplane.readmodel.questions.settled import FIRST
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.cloud_call import observe, observe_many, sealer_of
from secaplane.reconcilers.dependencies import ReconcileDependencies, record
from secaplane.reconcilers.drift.answers import NoAnswer, answered
from secaplane.reconcilers.drift.comparison import Drift, comparable, drift_of
from secaplane.reconcilers.drift.rows import ScannedRows
from secaplane.reconcilers.drift.sweep import Holds, UnderTenure
from secaplane.reconcilers.leases.lease import LeaseLost
from secaplane.reconcilers.reports import drift_report, sealed_status

AT_ONCE_MAX = 16
"""Calls about one resource each that are under way at the same time."""
TICKS_PER_S = 25
"""Comparisons are spread over a second in that many portions, where there are enough."""
BEHIND_S_MAX = 0.1
"""Lost time that is made up for: after a pause of the process there is no burst of comparisons."""
ROUND_S_MIN = 0.1
"""A few resources are not read from the database again and again without a pause."""
CONFIRMING_MAX = 64
"""Differences that wait for the second look; the scan waits when there are more."""
RETRY_S = 5.0
"""Before the scan goes on after the database, or a whole portion of the cloud, did not answer."""
SAVE_INTERVAL_S = 30.0
_NOT_REPORTED = (LeaseLost, LogUnavailable, Refusal, Undecodable, Damaged, *DATABASE_UNAVAILABLE)
log = logging.getLogger("secaplane.drift")

LoadCursor = Callable[[], Awaitable[Ref]]
SaveCursor = Callable[[Ref], Awaitable[None]]


class Comparison(NamedTuple):
    resource: Resource
    drift: Drift | None
    """None: the cloud has what is recorded."""


Look = Comparison | NoAnswer | None
"""None: a reconciliation, or another process, has taken over the resource."""


class ScanSettings(msgspec.Struct, frozen=True, kw_only=True):
    per_second: float
    round_s: float
    """A round takes at most that long, if need be at a higher rate."""
    confirm_s: float
    """Time between the two looks at a difference."""


def compared_kinds(ignored: Sequence[str]) -> list[str]:
    """The kinds of which the cloud has something to compare, in the order of a scan."""
    backed = (kind.name for kind in KINDS.values() if kind.backing is Backing.PLUGIN)
    return sorted(name for name in backed if name not in ignored and "*" not in ignored)


@dataclass
class DriftScan:
    """`compared`, `found`, `over`, `failed` are shown in metrics."""

    dependencies: ReconcileDependencies
    rows: ScannedRows
    settings: ScanSettings
    requeue: Callable[[Ref], None]
    """Queues an address for reconciliation: repairs and changes are serial there."""
    busy: Callable[[Ref], bool]
    """True for addresses that are queued or being reconciled."""
    load: LoadCursor
    save: SaveCursor
    holds: Holds
    working: UnderTenure
    compared: int = 0
    found: int = 0
    over: int = 0
    failed: int = 0
    rounds: int = 0
    failing: bool = False
    """The last portion had no answer from the cloud at all."""
    _after: Ref = FIRST
    _next_at: float = 0.0
    _saved_at: float = 0.0
    _confirming: dict[Ref, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Scan without end, from where the last process of this control plane was."""
        self._after, self._next_at = await self.load(), asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._round(group)
                except DATABASE_UNAVAILABLE as error:
                    log.warning("the scan for drift waits", extra={"reason": reason_of(error)})
                    await asyncio.sleep(RETRY_S)

    async def _round(self, group: asyncio.TaskGroup) -> None:
        """From the present address to the last one. Every process passes all addresses at the same
        rate, and compares those that it holds: together they make no more calls than one."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        count = await self.rows.count()
        rate = max(self.settings.per_second, count / self.settings.round_s)
        at_once = self.dependencies.plugin.observes_at_once
        most = AT_ONCE_MAX if at_once == 1 else at_once
        size = max(1, min(most, round(rate / TICKS_PER_S)))
        while page := await self.rows.settled_after(self._after):
            for portion in (page[n : n + size] for n in range(0, len(page), size)):
                await self._paced(len(portion) / rate)
                await self._compare(group, [ref for ref in portion if self.holds(ref)])
                await self._reached(portion[-1])
        self.rounds += 1
        await self._reached(FIRST)
        await asyncio.sleep(max(1 / rate, began + ROUND_S_MIN - loop.time()))

    async def _paced(self, seconds: float) -> None:
        """Wait for the next portion's time. No more than BEHIND_S_MAX of lost time is made up for:
        the rate is hardly ever higher than it is set."""
        now = asyncio.get_running_loop().time()
        self._next_at = max(self._next_at, now - BEHIND_S_MAX) + seconds
        await asyncio.sleep(max(0.0, self._next_at - now))

    async def _reached(self, ref: Ref) -> None:
        self._after, now = ref, asyncio.get_running_loop().time()
        if now - self._saved_at > SAVE_INTERVAL_S:
            self._saved_at = now
            await self.save(ref)

    # --- the first look

    async def _compare(self, group: asyncio.TaskGroup, refs: Sequence[Ref]) -> None:
        resources = await self.rows.resources_at(refs) if refs else ()
        due = [each for each in resources if comparable(each) and self._idle(each.ref)]
        if not due:
            return
        results = await self._look_at(due)
        compared = [each for each in results if isinstance(each, Comparison)]
        for resource, drift in compared:
            await self._suspect(group, resource, drift)
        self.failing = not compared and any(isinstance(each, NoAnswer) for each in results)
        if self.failing:
            await asyncio.sleep(RETRY_S)

    def _idle(self, ref: Ref) -> bool:
        return ref not in self._confirming and not self.busy(ref)

    async def _look_at(self, due: Sequence[Resource]) -> Sequence[Look]:
        if self.dependencies.plugin.observes_at_once == 1:
            return await asyncio.gather(*(self._look(each) for each in due))
        with ExitStack() as tenures:
            asked = [
                (dependencies, resource)
                for resource in due
                if (dependencies := tenures.enter_context(self.working(resource.ref)))
            ]
            resources = [resource for _, resource in asked]
            answers: Sequence[Observation | Exception]
            try:
                answers = await answered(observe_many(asked))
            except (FenceRejected, LeaseLost, NoAnswer) as error:
                answers = [error] * len(resources)
        looked = zip(resources, answers, strict=True)
        return [await self._judged(*each) for each in looked]

    async def _look(self, resource: Resource) -> Look:
        with self.working(resource.ref) as dependencies:
            if dependencies is None:
                return None
            try:
                seen = await answered(observe(dependencies, resource))
            except (FenceRejected, LeaseLost, NoAnswer) as error:
                return await self._judged(resource, error)
        return await self._judged(resource, seen)

    async def _judged(self, resource: Resource, seen: Observation | Exception) -> Look:
        if isinstance(seen, FenceRejected | LeaseLost):
            return None
        if isinstance(seen, Exception):
            return self._unanswered(resource, seen)
        try:
            sealed = None if isinstance(seen, Absent) else self._sealed(resource, seen.status)
            actual = None if sealed is None else await sealed
        except msgspec.ValidationError as error:  # the kind does not have such a status
            return self._unanswered(resource, error)
        self.compared += 1
        return Comparison(resource, drift_of(resource, actual))

    async def _sealed(self, resource: Resource, status: Json) -> Json:
        sealer = await sealer_of(self.dependencies, resource, status)
        return sealed_status(sealer, resource, status)

    def _unanswered(self, resource: Resource, error: Exception) -> NoAnswer:
        self.failed += 1
        if not self.failing:
            where = {"ref": resource.ref.path, "reason": reason_of(error)}
            log.warning("a resource could not be compared with the cloud", extra=where)
        return error if isinstance(error, NoAnswer) else NoAnswer(reason_of(error))

    # --- the second look

    async def _suspect(
        self, group: asyncio.TaskGroup, resource: Resource, drift: Drift | None
    ) -> None:
        """Look again later where cloud and conditions do not agree; repair what is reported."""
        known = open_drift(resource)
        if known == (drift.reason if drift else ""):
            if known:
                self._repair(resource.ref)
            return
        while len(self._confirming) >= CONFIRMING_MAX:
            await asyncio.wait(self._confirming.values(), return_when=asyncio.FIRST_COMPLETED)
        ref = resource.ref
        task = group.create_task(self._confirmed(resource, drift))
        self._confirming[ref] = task
        task.add_done_callback(lambda _: self._confirming.pop(ref, None))

    async def _confirmed(self, before: Resource, drift: Drift | None) -> None:
        """Report what is the same after a while, if the resource has had no event meanwhile."""
        await asyncio.sleep(self.settings.confirm_s)
        try:
            current = await self.dependencies.commands.cache.current(before.ref)
            moved = current is None or current.position != before.position
            if current is None or moved or self.busy(before.ref):
                return
            again = await self._look(current)
            if not isinstance(again, Comparison) or again.drift != drift:
                return
            with self.working(current.ref) as dependencies:
                if dependencies is None:
                    return
                result = await record(dependencies, current, drift_report(current, drift))
        except _NOT_REPORTED as error:  # the next round compares it again
            where = {"ref": before.ref.path, "reason": reason_of(error)}
            log.warning("drift could not be reported", extra=where)
            return
        if result.event is None:
            return
        self.found, self.over = self.found + bool(drift), self.over + (drift is None)
        reason = drift.message if drift else "it is over"
        log.warning("drift", extra={"ref": before.ref.path, "reason": reason})
        if drift:
            self._repair(before.ref)

    def _repair(self, ref: Ref) -> None:
        if ref.kind in self.dependencies.repaired:
            self.requeue(ref)
