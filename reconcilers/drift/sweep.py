"""The sweep over the cloud's inventory: removes what the log knows as gone, and reports what it
never knew. Seen twice before anything is done (`inventory.Sightings`)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from asyncpg import Pool

from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.plugin import (
    FenceRejected,
    InProgress,
    InventoryItem,
    Outcome,
    Ready,
    TerminalError,
)
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.drift.answers import NoAnswer, answered, inventory
from secaplane.reconcilers.drift.inventory import Presence, Sightings
from secaplane.reconcilers.drift.lookup import JudgedItem, judged
from secaplane.reconcilers.leases.lease import LeaseLost

NAMED_MAX = 100
"""Unknown resources that one sweep logs."""
_NOT_SWEPT = (NoAnswer, LogUnavailable, Refusal, *DATABASE_UNAVAILABLE)
log = logging.getLogger("secaplane.drift")

RecordRemoval = Callable[[InventoryItem], Awaitable[bool]]
"""Records that a resource is about to be removed as an orphan; False where that could not be
recorded, and then nothing is removed."""
Holds = Callable[[Ref], bool]
"""True for the addresses whose partition this process holds: it alone calls the cloud for them."""
UnderTenure = Callable[[Ref], AbstractContextManager[ReconcileDependencies | None]]
"""Dependencies for calls about an address, under the tenure of its partition; None where another
process holds it by now."""


@dataclass
class InventorySweep:
    """`unknown`, `removed` and `failures` are shown in health and metrics."""

    dependencies: ReconcileDependencies
    pool: Pool
    record_removal: RecordRemoval
    interval_s: float
    holds: Holds
    working: UnderTenure
    unknown: int = 0
    """Resources of the cloud that the log never knew, by the last complete sweep."""
    removed: int = 0
    failures: int = 0
    """Sweeps that did not end, in succession."""
    _sightings: Sightings = field(default_factory=Sightings)
    _named: set[str] = field(default_factory=set)
    """Unknown uids that were logged."""

    async def run(self) -> None:
        """Sweep without end, if the cloud can list what it holds. The first one begins after an
        interval: a process that starts has more urgent work."""
        while self.dependencies.plugin.lists_inventory:
            await asyncio.sleep(self.interval_s)
            try:
                await self.sweep()
                self.failures = 0
            except _NOT_SWEPT as error:  # the next sweep tries again
                self.failures += 1
                log.warning(
                    "the cloud's inventory was not compared", extra={"reason": reason_of(error)}
                )

    async def sweep(self) -> None:
        """One whole sweep.

        Raises:
            NoAnswer, LogUnavailable, Refusal; whatever the database raises.
        """
        self._sightings.begin()
        unknown = set[str]()
        async for page in inventory(self.dependencies.plugin):
            mine = [item for item in page if self.holds(Ref(item.kind, item.path or item.uid))]
            for each in await judged(self.dependencies.commands, self.pool, mine):
                if not self._sightings.confirmed(each.item.uid, each.presence):
                    continue
                if each.presence is Presence.GONE and each.resource is not None:
                    await self._remove(each.item, each.resource)
                elif each.presence is Presence.UNKNOWN:
                    unknown.add(each.item.uid)
                    self._name(each, len(unknown))
        self._sightings.end()
        self.unknown, self._named = len(unknown), self._named & unknown

    async def _remove(self, item: InventoryItem, resource: Resource) -> None:
        """One call; what takes the cloud longer is seen by the next sweep again."""
        where = {"kind": item.kind, "ref": item.path, "uid": item.uid}
        if not await self.record_removal(item):
            log.warning("an orphan stays: its removal could not be recorded", extra=where)
            return
        try:
            outcome = await answered(self._removed(resource))
        except (
            NoAnswer,
            FenceRejected,
            LeaseLost,
        ) as error:  # the other orphans are removed all the same
            log.warning("an orphan stays", extra={**where, "reason": str(error)})
            return
        match outcome:
            case Ready():
                self.removed += 1
                log.warning("an orphan was removed from the cloud", extra=where)
            case InProgress():
                log.info("an orphan is being removed from the cloud", extra=where)
            case TerminalError(message=message):
                log.error("an orphan cannot be removed", extra={**where, "reason": message})

    async def _removed(self, resource: Resource) -> Outcome:
        with self.working(resource.ref) as dependencies:
            if dependencies is None:
                raise LeaseLost("another process holds the partition")
            return await dependencies.fences.call(partial(dependencies.plugin.remove, resource))

    def _name(self, each: JudgedItem, count: int) -> None:
        if count > NAMED_MAX or each.item.uid in self._named:
            return
        self._named.add(each.item.uid)
        log.warning(
            "the cloud holds a resource that the log never knew",
            extra={"kind": each.item.kind, "ref": each.item.path, "uid": each.item.uid},
        )
