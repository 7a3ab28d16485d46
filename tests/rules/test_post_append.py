"""The check after the append: a PUT that broke a rule meanwhile is reverted once and refused once;
where the check is not possible, the outcome is unknown."""

from collections.abc import Sequence

import msgspec
import pytest

from secaplane.command.dependencies import NoUsageReader
from secaplane.command.gather.load import load_living
from secaplane.command.handle import UNKNOWN
from secaplane.command.post_append import MEANWHILE, UNCHECKED, recheck
from secaplane.command.rules.commands import Delete
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.model.errors import Conflict, NotFound, QuotaExceeded, Refusal, Unavailable
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref, Resource
from tests.log.new_events import new_event
from tests.rules.command_scene import (
    ADMINISTERED,
    DISK,
    INSTANCE,
    OTHER_VM,
    QUOTAS,
    SPARE,
    STORAGE_SKU,
    VM,
    VOLUME,
    Scene,
)
from tests.scenario import TENANT, WEB

# --- the check alone


async def a_child(scene: Scene, ref: Ref = SPARE, spec: Json = VOLUME) -> Resource:
    """A resource that was created when all was well."""
    await scene.recorded(ref, Created(spec=spec), tenant="u1")
    child = await scene.dependencies.cache.current(ref)
    assert child is not None
    return child


async def test_a_creation_that_breaks_no_rule_stays() -> None:
    scene = await Scene().given(ADMINISTERED, DISK)
    child = await a_child(scene, VM, INSTANCE)
    assert await recheck(scene.dependencies, None, child, None) is None


@pytest.mark.parametrize(
    ("other", "events", "refusal"),
    [
        (WEB, [DeletionRequested()], Conflict),
        (WEB, [DeletionRequested(), Deleted()], NotFound),
        (TENANT, [DeletionRequested()], Conflict),
        (TENANT, [DeletionRequested(), Deleted()], NotFound),
        (TENANT, [DeletionRequested(), Deleted(), Created(spec=ADMINISTERED)], Conflict),
    ],
)
async def test_a_creation_whose_parent_or_target_was_deleted_is_deleted(
    other: Ref, events: Sequence[AnyEvent], refusal: type[Refusal]
) -> None:
    scene = await Scene().given(ADMINISTERED, DISK)
    child = await a_child(scene, VM, INSTANCE)
    for event in events:
        await scene.recorded(other, event, uid="u2", tenant="u2")
    violation = await recheck(scene.dependencies, None, child, None)
    assert violation is not None
    assert type(violation.refusal) is refusal
    assert (violation.command, violation.cause) == (Delete(regardless=True), child.position)


@pytest.mark.parametrize("events", [[DeletionRequested()], [DeletionRequested(), Deleted()]])
async def test_a_reference_to_what_was_deleted_before_is_reverted_and_to_what_is_deleted_later_not(
    events: Sequence[AnyEvent],
) -> None:
    """The lower position stays: a later deletion is refused because of the reference."""
    scene = await Scene().given(ADMINISTERED, DISK, SPARE)
    for event in events:
        await scene.recorded(DISK, event, tenant="u1")
    late = await a_child(scene, VM, INSTANCE)
    violation = await recheck(scene.dependencies, None, late, None)
    assert violation is not None
    assert type(violation.refusal) is Conflict
    assert violation.refusal.detail.startswith(MEANWHILE)
    assert (violation.command, violation.cause) == (Delete(regardless=True), late.position)
    booting = INSTANCE | {"bootVolume": {"deviceRef": {"resource": "block-storages/spare"}}}
    early = await a_child(scene, OTHER_VM, booting)
    for event in events:
        await scene.recorded(SPARE, event, tenant="u1")
    assert await recheck(scene.dependencies, None, early, None) is None


async def test_a_target_that_the_caller_may_not_get_counts_as_absent() -> None:
    scene = await Scene().given(ADMINISTERED, DISK)
    child = await a_child(scene, VM, INSTANCE)
    violation = await recheck(scene.dependencies, None, child, Blind())
    assert violation is not None
    assert "block-storage not found" in violation.refusal.detail


class Blind:
    """A policy by which the caller may get nothing."""

    def may_get(self, ref: Ref) -> bool:
        return False

    async def excess(self, ref: Ref, old: Json | None, new: Json) -> str:
        return ""


async def test_of_an_update_only_the_quota_is_checked() -> None:
    """An existing child may change while its parent is being deleted."""
    scene = await Scene().given(QUOTAS)
    child = await a_child(scene)
    await scene.recorded(WEB, DeletionRequested(), tenant="u1")
    violation = await recheck(scene.dependencies, child, child, None)
    assert violation is not None
    assert type(violation.refusal) is QuotaExceeded
    settled = msgspec.structs.replace(child, observed_position=child.last_intent)
    assert await recheck(scene.dependencies, settled, settled, None) is None


# --- reverted, whatever else


async def test_an_exceeded_quota_is_reverted_though_the_resource_is_in_use_already() -> None:
    scene = await Scene(referrers=[VM]).given(QUOTAS)
    assert type(await scene.refused(DISK, VOLUME)) is QuotaExceeded
    await scene.reverted_once(DISK)


@pytest.mark.parametrize(
    ("rival", "ref", "spec", "refusal"),
    [(DISK, VM, INSTANCE, Conflict), (WEB, VM, INSTANCE, Conflict), (WEB, SPARE, VOLUME, Conflict)],
)
async def test_a_creation_with_two_violations_is_reverted_once(
    rival: Ref, ref: Ref, spec: Json, refusal: type[Refusal]
) -> None:
    """The deletion of its volume, or of its workspace, came first; and it exceeds the quota."""
    scene = await Scene(referrers=[VM]).given(QUOTAS, DISK)
    scene.log.faster = new_event(rival, DeletionRequested())
    assert type(await scene.refused(ref, spec)) is refusal
    await scene.reverted_once(ref)


# --- the outcome is unknown


async def test_a_resource_stays_and_is_not_confirmed_while_its_quota_cannot_be_checked() -> None:
    scene = await Scene(counted=False).given(QUOTAS)
    refusal = await scene.refused(DISK, VOLUME)
    assert (type(refusal), refusal.detail) == (Unavailable, UNCHECKED)
    assert len(await scene.log.read(DISK)) == 1


@pytest.mark.parametrize("tenant", [ADMINISTERED, QUOTAS])
async def test_a_log_that_is_unavailable_after_the_append_makes_the_outcome_unknown(
    tenant: Json,
) -> None:
    scene = await Scene().given(tenant, DISK)
    scene.log.unavailable_after = True
    refusal = await scene.refused(VM, INSTANCE)
    assert (type(refusal), refusal.detail) == (Unavailable, UNKNOWN)
    assert len(await scene.log.read(VM)) == 1


# --- questions to the leader, and what is taken from the cache


async def test_a_tenant_without_quotas_needs_no_further_question() -> None:
    scene = await Scene(NoUsageReader(), counted=False).given(ADMINISTERED)
    await scene.put(SPARE, VOLUME, "first")
    scene.log.loaded.clear()
    await scene.put(DISK, VOLUME)
    assert set(scene.log.loaded) <= {DISK, WEB}
    scene.log.loaded.clear()
    await scene.put(DISK, VOLUME, "again")
    assert scene.log.loaded == [DISK]


async def test_rarely_changed_kinds_may_be_some_seconds_old() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    for ref in (TENANT, STORAGE_SKU, WEB):
        assert await cache.recent(ref) is not None
        await scene.recorded(ref, Updated(spec=QUOTAS), tenant="u1")
    assert await specs(cache) == [ADMINISTERED, {}, QUOTAS]


async def test_a_follower_of_the_log_invalidates_them() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    await cache.recent(TENANT)
    await scene.recorded(TENANT, Updated(spec=QUOTAS), tenant="u1")
    cache.invalidate(TENANT)
    assert (await specs(cache))[0] == QUOTAS


async def specs(cache: ResourceCache) -> list[Json]:
    living = await load_living(cache, [TENANT, STORAGE_SKU, WEB])
    return [each.spec for each in living.values() if each]


async def test_a_later_load_in_this_process_ends_the_memory_of_an_older_one() -> None:
    scene = await Scene().given(ADMINISTERED)
    cache = scene.dependencies.cache
    before = await cache.recent(TENANT)
    assert cache.recently_read(TENANT) is before
    await scene.recorded(TENANT, Updated(spec=QUOTAS), tenant="u1")
    assert await cache.recent(TENANT) is before
    now = await cache.current(TENANT)
    assert cache.recently_read(TENANT) is None
    assert await cache.recent(TENANT) is now
    assert cache.recently_read(TENANT) is now
