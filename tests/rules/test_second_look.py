"""What only shows once a PUT is recorded: taken back once, refused once, and never half a yes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec
import pytest

from secaplane.command.dependencies import CommandDependencies, NoUsageReader, UsageReader
from secaplane.command.gather.load import load_living
from secaplane.command.handle import UNKNOWN, handle
from secaplane.command.post_append import UNCOUNTED
from secaplane.command.rules.commands import Put
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.log import LogUnavailable, PrefixExpectation
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.kinds.shares import QuotaShare
from secaplane.model.errors import Conflict, Invalid, QuotaExceeded, Refusal, Unavailable
from secaplane.model.events import SYSTEM, Created, DeletionRequested, RecordedEvent, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref
from tests.log.new_events import SALT, new_event
from tests.scenario import IDS, JANE, NOON, TENANT, WEB

DISK, VM = (KINDS[kind].ref(IDS, "one") for kind in ("block-storage", "instance"))
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


class Raced(MemoryLog):
    """Somebody is faster: `faster` is recorded just before the next resource is created."""

    faster: NewEvent | None = None
    silent_after: bool = False
    """Nobody answers any more once something was created."""
    asked: list[Ref]
    _silent: bool = False

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        rival, self.faster = self.faster, None
        if rival is not None:
            await super().append(
                msgspec.structs.replace(rival, previous=await self.last(rival.ref))
            )
        self._silent = self.silent_after
        return await super().append(new_event, expectation=expectation)

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        if self._silent:
            raise LogUnavailable("nobody is there")
        self.asked.append(ref)
        return await super().latest(ref)


class Full:
    """There is room before the append, and after it there is not."""

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


@dataclass
class Scene:
    usage: UsageReader = field(default_factory=Full)
    referrers: Sequence[Ref] = ()
    counted: bool = True
    log: Raced = field(default_factory=lambda: Raced("eu-1"))

    def __post_init__(self) -> None:
        self.log.asked = []
        numbers = count(1)
        self.dependencies = CommandDependencies(
            log=self.log,
            cache=ResourceCache(self.log, MemorySnapshots()),
            clock=lambda: NOON,
            new_uid=lambda: f"new{next(numbers)}",
            new_salt=lambda: SALT,
            children=self._inside,
            referrers=self._users,
            named_by=self._named_by,
            reached=self._reached,
            usage=self.usage,
        )

    async def given(self, tenant: Json, *volumes: Ref) -> "Scene":
        there = {TENANT: tenant, WEB: {}, STORAGE_SKU: {}, INSTANCE_SKU: {}}
        for ref, spec in (there | {volume: VOLUME for volume in volumes}).items():
            await self.log.append(new_event(ref, Created(spec=spec), previous=BEGINNING))
        return self

    async def put(self, ref: Ref, spec: Json, request: str = "mine") -> None:
        await handle(self.dependencies, ref, Put(spec=spec), actor=JANE, request=request)

    async def refused(self, ref: Ref, spec: Json) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.put(ref, spec)
        return refusal.value

    async def taken_back_once(self, ref: Ref) -> None:
        made, taken_back = await self.log.read(ref)
        assert (type(made.event), type(taken_back.event)) == (Created, DeletionRequested)
        assert (taken_back.actor, taken_back.cause) == (SYSTEM, made.position)

    async def _inside(self, ref: Ref, include_terminating: bool) -> list[Ref]:
        return []

    async def _users(self, refs: Sequence[Ref], include_terminating: bool) -> Sequence[Ref]:
        return self.referrers

    async def _named_by(self, ref: Ref, kinds: Sequence[str]) -> list[Ref]:
        return []

    async def _reached(self, positions: Sequence[Position], seconds: float) -> bool:
        return self.counted


# --- taken back, whatever else


async def test_what_is_over_goes_though_somebody_uses_it_already() -> None:
    scene = await Scene(referrers=[VM]).given(QUOTAS)
    assert type(await scene.refused(DISK, VOLUME)) is QuotaExceeded
    await scene.taken_back_once(DISK)


@pytest.mark.parametrize(
    ("rival", "made", "spec", "refusal"),
    [(DISK, VM, INSTANCE, Invalid), (WEB, VM, INSTANCE, Conflict), (WEB, SPARE, VOLUME, Conflict)],
)
async def test_who_is_wrong_twice_is_taken_back_once(
    rival: Ref, made: Ref, spec: Json, refusal: type[Refusal]
) -> None:
    """Its volume, or its workspace, began to go in between; and it is over the quota, too."""
    scene = await Scene(referrers=[VM]).given(QUOTAS, DISK)
    scene.log.faster = new_event(rival, DeletionRequested())
    assert type(await scene.refused(made, spec)) is refusal
    await scene.taken_back_once(made)


# --- nobody can say


async def test_while_nobody_can_count_it_stays_and_nobody_says_yes() -> None:
    scene = await Scene(counted=False).given(QUOTAS)
    refusal = await scene.refused(DISK, VOLUME)
    assert (type(refusal), refusal.detail) == (Unavailable, UNCOUNTED)
    assert len(await scene.log.read(DISK)) == 1


@pytest.mark.parametrize("tenant", [ADMINISTERED, QUOTAS])
async def test_a_log_that_falls_silent_after_the_append_is_no_no(tenant: Json) -> None:
    scene = await Scene().given(tenant, DISK)
    scene.log.silent_after = True
    refusal = await scene.refused(VM, INSTANCE)
    assert (type(refusal), refusal.detail) == (Unavailable, UNKNOWN)
    assert len(await scene.log.read(VM)) == 1


# --- what it costs, and what is believed


async def test_a_tenant_without_quotas_is_asked_nothing_more() -> None:
    scene = await Scene(NoUsageReader(), counted=False).given(ADMINISTERED)
    await scene.put(SPARE, VOLUME, "first")
    scene.log.asked.clear()
    await scene.put(DISK, VOLUME)
    assert set(scene.log.asked) <= {DISK, WEB}
    scene.log.asked.clear()
    await scene.put(DISK, VOLUME, "again")
    assert scene.log.asked == [DISK]


async def test_what_seldom_changes_is_believed_to_be_as_it_was_a_moment_ago() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    for ref in (TENANT, STORAGE_SKU, WEB):
        assert await cache.recent(ref) is not None
        last = await scene.log.last(ref)
        await scene.log.append(new_event(ref, Updated(spec=QUOTAS), previous=last))
    assert await specs(cache) == [ADMINISTERED, {}, QUOTAS]


async def test_who_follows_the_log_believes_nothing_that_has_changed() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    await cache.recent(TENANT)
    last = await scene.log.last(TENANT)
    await scene.log.append(new_event(TENANT, Updated(spec=QUOTAS), previous=last))
    cache.invalidate(TENANT)
    assert (await specs(cache))[0] == QUOTAS


async def specs(cache: ResourceCache) -> list[Json]:
    there = await load_living(cache, [TENANT, STORAGE_SKU, WEB])
    return [each.spec for each in there.values() if each]


async def test_what_this_process_has_seen_change_is_not_believed_any_more() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    before = await cache.recent(TENANT)
    assert cache.recently_read(TENANT) is before
    await scene.log.append(
        new_event(TENANT, Updated(spec=QUOTAS), previous=await scene.log.last(TENANT))
    )
    assert await cache.recent(TENANT) is before
    now = await cache.current(TENANT)
    assert cache.recently_read(TENANT) is None
    assert await cache.recent(TENANT) is now
    assert cache.recently_read(TENANT) is now
