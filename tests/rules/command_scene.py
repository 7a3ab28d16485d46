"""Command handling on a log in memory, and on a read model that a test dictates."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Self

import msgspec
import pytest

from secaplane.command.dependencies import CommandDependencies, UsageReader
from secaplane.command.handle import CommandResult, handle
from secaplane.command.rules.commands import Command, Put
from secaplane.eventlog.codec import NewEvent, Undecodable
from secaplane.eventlog.log import LogUnavailable, PrefixExpectation
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS, SHARED_TENANT, blocking_kinds
from secaplane.kinds.references import targets_of
from secaplane.kinds.shares import QuotaShare
from secaplane.model.actor import SYSTEM
from secaplane.model.errors import Refusal
from secaplane.model.events import AnyEvent, Created, DeletionRequested, RecordedEvent
from secaplane.model.evolve import fold
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource
from tests.log.new_events import SALT, new_event
from tests.scenario import IDS, JANE, NOON, TENANT, WEB
from tests.sealing import SEALERS

DISK, VM = (KINDS[kind].ref(IDS, "one") for kind in ("block-storage", "instance"))
OTHER_VM = KINDS["instance"].ref(IDS, "two")
SPARE = KINDS["block-storage"].ref(IDS, "spare")
STORAGE_SKU, INSTANCE_SKU = (
    KINDS[kind].ref({"tenant": SHARED_TENANT}, "s") for kind in ("storage-sku", "instance-sku")
)
SKU: Json = {"skuRef": {"resource": "skus/s"}}
VOLUME: Json = SKU | {"sizeGB": 10}
INSTANCE: Json = SKU | {
    "zone": "a",
    "bootVolume": {"deviceRef": {"resource": "block-storages/one"}},
}
ADMINISTERED: Json = {"administrators": ["a"]}
QUOTAS: Json = ADMINISTERED | {"quotas": {"resources": {"instance": 1, "block-storage": 1}}}


class ContendedLog(MemoryLog):
    """Another process is faster: `faster` is recorded just before the next resource is created."""

    faster: NewEvent | None = None
    unavailable_after: bool = False
    """The log does not answer any more once a resource was created."""
    loaded: list[Ref]
    _unavailable: bool = False

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        rival, self.faster = self.faster, None
        if rival is not None:
            previous = await self.last(rival.ref)
            await super().append(msgspec.structs.replace(rival, previous=previous))
        self._unavailable = self.unavailable_after
        return await super().append(new_event, expectation=expectation)

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        if self._unavailable:
            raise LogUnavailable("no leader")
        self.loaded.append(ref)
        return await super().latest(ref)


class ExceededQuota:
    """The read model has room before the append, and none after it."""

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> list[QuotaShare]:
        return [QuotaShare(kind, "", 0 if at is None else 2, 0) for kind in kinds]

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> list[tuple[Position, QuotaShare]]:
        return [(life, QuotaShare(kind, "", 1, 0))]

    async def specs(self, refs: Sequence[Ref], at: Position) -> dict[Ref, Json]:
        return {TENANT: QUOTAS}


class RelatedInLog:
    """The read model of related resources, folded from the log when it is asked."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def referrers(
        self, targets: Sequence[Ref], kinds: Sequence[str]
    ) -> AsyncIterator[list[Resource]]:
        for each in await self._living():
            if each.ref.kind in kinds and targets_of(each.ref, each.spec).intersection(targets):
                yield [each]

    async def children(self, parent: Ref, kinds: Sequence[str]) -> AsyncIterator[list[Resource]]:
        for each in await self._living():
            if each.ref.kind in kinds and each.ref.path.startswith(f"{parent.path}/"):
                yield [each]

    async def blocking(self, refs: Sequence[Ref], include_terminating: bool) -> list[Ref]:
        kinds = {name for ref in refs for name in blocking_kinds(KINDS[ref.kind])}
        return [
            each.ref
            for each in await self._living()
            if each.ref.kind in kinds
            and not targets_of(each.ref, each.spec).isdisjoint(refs)
            and (include_terminating or not each.terminating)
        ]

    async def _living(self) -> list[Resource]:
        folded = [await self._folded(ref) for ref in self._log.refs()]
        return [each for each in folded if each is not None and not each.gone]

    async def _folded(self, ref: Ref) -> Resource | None:
        """None for what cannot be read: it is in quarantine, and no question answers it."""
        try:
            return fold(await self._log.read(ref))
        except Undecodable:
            return None


@dataclass
class Scene:
    """One process that handles commands."""

    usage: UsageReader = field(default_factory=ExceededQuota)
    referrers: Sequence[Ref] = ()
    counted: bool = True
    log: ContendedLog = field(default_factory=lambda: ContendedLog("eu-1"))

    def __post_init__(self) -> None:
        self.log.loaded = []
        numbers = count(1)
        self.dependencies = CommandDependencies(
            log=self.log,
            cache=ResourceCache(self.log, MemorySnapshots()),
            clock=lambda: NOON,
            new_uid=lambda: f"new{next(numbers)}",
            new_salt=lambda: SALT,
            seal=SEALERS.seal,
            children=self._children,
            referrers=self._referrers,
            named_by=self._named_by,
            related=RelatedInLog(self.log),
            reached=self._reached,
            usage=self.usage,
        )

    async def given(self, tenant: Json, *volumes: Ref) -> Self:
        specs = {TENANT: tenant, WEB: {}, STORAGE_SKU: {}, INSTANCE_SKU: {}}
        for ref, spec in (specs | {volume: VOLUME for volume in volumes}).items():
            await self.recorded(ref, Created(spec=spec), tenant="u1")
        return self

    async def recorded(self, ref: Ref, event: AnyEvent, *, uid: str = "u1", tenant: str) -> None:
        """An event that another process appends."""
        written = new_event(ref, event, uid=uid, previous=await self.log.last(ref))
        await self.log.append(msgspec.structs.replace(written, tenant=tenant))

    async def handled(self, ref: Ref, command: Command, request: str = "mine") -> CommandResult:
        return await handle(self.dependencies, ref, command, actor=JANE, request=request)

    async def put(self, ref: Ref, spec: Json, request: str = "mine") -> None:
        await self.handled(ref, Put(spec=spec), request)

    async def refused(self, ref: Ref, spec: Json) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.put(ref, spec)
        return refusal.value

    async def reverted_once(self, ref: Ref) -> None:
        created, reverted = await self.log.read(ref)
        assert (type(created.event), type(reverted.event)) == (Created, DeletionRequested)
        assert (reverted.actor, reverted.cause) == (SYSTEM, created.position)

    async def _children(self, ref: Ref, include_terminating: bool) -> list[Ref]:
        return []

    async def _referrers(self, refs: Sequence[Ref], include_terminating: bool) -> Sequence[Ref]:
        return self.referrers or await RelatedInLog(self.log).blocking(refs, include_terminating)

    async def _named_by(self, ref: Ref, kinds: Sequence[str]) -> list[Ref]:
        return []

    async def _reached(self, positions: Sequence[Position], seconds: float) -> bool:
        return self.counted
