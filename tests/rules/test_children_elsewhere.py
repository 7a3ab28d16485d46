"""A tenant is recorded in one stream and its workspaces in another: a creation that was recorded
with an old copy of the tenant does not stand, and neither does a deletion that missed a child."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from secaplane.command.gather.elsewhere import ends_elsewhere, kinds_elsewhere, parent_elsewhere
from secaplane.command.post_append import recheck
from secaplane.command.rules.commands import Delete, Put, Revert
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict
from secaplane.model.events import AnyEvent, Created, DeletionRequested, StatusReported
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource, State
from secaplane.reconcilers.plan import RelatedResources, Step, plan
from secaplane.reconcilers.related import load_related
from tests.rules.command_scene import ADMINISTERED, DISK, VOLUME, ContendedLog, RelatedInLog, Scene
from tests.scenario import TENANT, WEB

ONE, TWO = Streams("SECA"), Streams("SECA", "SECA-GLOBAL")


@dataclass
class SceneOfTwoStreams(Scene):
    log: ContendedLog = field(default_factory=lambda: ContendedLog("eu-1", TWO))

    async def event(self, ref: Ref, event: AnyEvent) -> None:
        await self.recorded(ref, event, tenant="u1")

    async def active(self, ref: Ref) -> None:
        await self.event(
            ref,
            StatusReported(state=State.ACTIVE, observed_position=await self.log.last(ref)),
        )

    async def current(self, ref: Ref) -> Resource:
        found = await self.dependencies.cache.current(ref)
        assert found is not None
        return found

    async def related(self, ref: Ref) -> RelatedResources:
        related, _ = await load_related(
            self.dependencies, _owns_nothing, await self.current(ref), BEGINNING
        )
        return related

    async def planned(self, ref: Ref) -> Step:
        return plan(await self.current(ref), await self.related(ref)).step

    async def _children(self, ref: Ref, include_terminating: bool) -> list[Ref]:
        below = [
            each
            async for batch in RelatedInLog(self.log).children(ref, list(KINDS))
            for each in batch
        ]
        return [each.ref for each in below if include_terminating or not each.terminating]


async def _owns_nothing(resource: Resource) -> Mapping[Ref, Resource]:
    return {}


def test_only_the_nearest_parent_in_another_stream_counts() -> None:
    assert parent_elsewhere(TWO, WEB) == TENANT
    assert parent_elsewhere(TWO, DISK) is None
    assert parent_elsewhere(ONE, WEB) is None
    assert parent_elsewhere(TWO, TENANT) is None
    assert "workspace" in kinds_elsewhere(TWO, KINDS["tenant"])
    assert "role" not in kinds_elsewhere(TWO, KINDS["tenant"])
    assert not kinds_elsewhere(ONE, KINDS["tenant"])
    assert not kinds_elsewhere(TWO, KINDS["workspace"])


@pytest.mark.parametrize(("streams", "ends"), [(ONE, []), (TWO, [Position("SECA", 0)])])
async def test_rows_of_a_tenant_have_to_reach_the_end_of_the_other_stream(
    streams: Streams, ends: list[Position]
) -> None:
    scene = Scene(log=ContendedLog("eu-1", streams))
    found = await ends_elsewhere(scene.log, KINDS["tenant"])
    assert [each.sequence for each in found] == [each.sequence for each in ends]


async def test_a_creation_reads_the_tenant_anew_after_its_append() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.dependencies.cache.recent(TENANT)
    await scene.event(TENANT, DeletionRequested())
    created = await scene.current(WEB)
    violation = await recheck(scene.dependencies, None, created, None)
    assert violation is not None
    assert type(violation.refusal) is Conflict
    assert violation.command == Delete(regardless=True)


async def test_a_reconciler_reverts_a_creation_in_a_tenant_that_is_being_deleted() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.dependencies.cache.recent(TENANT)
    await scene.event(TENANT, DeletionRequested())
    assert await scene.planned(WEB) is Step.REVERT


async def test_a_deletion_that_missed_a_settled_child_is_reverted_before_anything_goes() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.active(TENANT)
    await scene.active(WEB)
    await scene.event(TENANT, DeletionRequested())
    related = await scene.related(TENANT)
    assert related.ending == ()
    assert related.violation is not None
    assert related.violation.command == Revert(to=Put(spec=ADMINISTERED), expected=2)
    assert await scene.planned(TENANT) is Step.REVERT
    violation = related.violation
    await scene.handled(TENANT, violation.command, "revert")
    assert not (await scene.current(TENANT)).terminating


async def test_a_deletion_waits_for_a_child_whose_reconciler_has_not_decided() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.event(TENANT, DeletionRequested())
    related = await scene.related(TENANT)
    assert (related.children, related.ending, related.violation) == ([WEB], (), None)
    assert await scene.planned(TENANT) is Step.WAIT


async def test_a_deletion_goes_on_once_the_child_is_being_deleted() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.event(WEB, DeletionRequested())
    await scene.event(TENANT, DeletionRequested())
    related = await scene.related(TENANT)
    assert related.violation is None
    assert WEB in related.children


async def test_a_volume_reads_its_workspace_not_its_tenant_anew() -> None:
    scene = await SceneOfTwoStreams().given(ADMINISTERED)
    await scene.event(DISK, Created(spec=VOLUME))
    await scene.dependencies.cache.recent(TENANT)
    scene.log.loaded.clear()
    await scene.related(DISK)
    assert TENANT not in scene.log.loaded
