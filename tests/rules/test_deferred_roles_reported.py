"""The condition about a deferred role says in the end why it is not bound, or that it is, on a log
that answers as of one event before what this process has followed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from msgspec.structs import replace as changed

from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.model.events import AnyEvent, Created, StatusReported, Updated
from secaplane.model.evolve import fold
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.plugins.plugin import Plugin
from secaplane.policy.grants.lives import KINDS_OF_LIVES
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.policy.watch import PolicyWatch
from secaplane.readmodel import questions
from secaplane.reconcilers.deferred_roles import BOUND, NOT_BOUND, report_unbound
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from tests.log.lagging import LaggingLog
from tests.positions import STREAM, nth
from tests.rules.command_scene import ADMINISTERED, Scene
from tests.rules.test_grants import assignment, permission
from tests.sealing import SEALERS
from tests.virtual_time import VirtualLoop

LATER = Ref("role", "tenants/acme/roles/later")
WRITES: Json = {"permissions": [permission("seca.storage", "block-storages/*", "get put")]}
BOBS, JANES = assignment("bob", "later"), assignment("jane", "seca.workspace-viewer")
ADMIN = assignment("jane", "seca.admin")
REPORTED_S = 5.0
WHY = "role later grants put on seca.storage block-storages/* in every workspace, which the author"


class World:
    """A reconcilers process that follows a lagging log; others write to it."""

    def __init__(self, outdated_answers: int) -> None:
        self.scene = Scene()
        self.log = MonotonicLog(LaggingLog(self.scene.log, outdated_answers=outdated_answers))
        self.cache = ResourceCache(self.log, MemorySnapshots())
        commands = replace(self.scene.dependencies, log=self.log, cache=self.cache)
        plugin = cast(Plugin, None)
        self.dependencies = ReconcileDependencies(commands, plugin, FenceSource(1), SEALERS, owned)

    async def written(self, resource: Resource) -> None:
        """Jane writes it, and a reconciler reports it as active."""
        before = await self.scene.log.read(resource.ref)
        intent: AnyEvent = (Updated if before else Created)(spec=resource.spec)
        await self.scene.recorded(resource.ref, intent, tenant="u1")
        at = await self.scene.log.last(resource.ref)
        active = StatusReported(state=State.ACTIVE, status={}, observed_position=at)
        await self.scene.recorded(resource.ref, active, tenant="u1")
        await asyncio.sleep(REPORTED_S)

    async def condition(self) -> tuple[object, object]:
        now = fold(await self.scene.log.read(BOBS.ref))
        assert now is not None
        return now.conditions[0].reason, now.conditions[0].message

    async def reports(self) -> int:
        return sum(
            isinstance(each.event, StatusReported) for each in await self.scene.log.read(BOBS.ref)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        watch = PolicyWatch(self.log, self.cache, stale_s=30)
        policy = Policy(operators=[], region="eu-1", fresh=watch.fresh)
        watch.subscribe(policy, KINDS_OF_POLICY)
        watch.subscribe(policy.former_workspaces, KINDS_OF_LIVES)
        async with asyncio.TaskGroup() as group:
            reporting = report_unbound(self.dependencies, watch, policy, cast(Any, None))
            tasks = [group.create_task(reporting), group.create_task(self._follow())]
            yield
            for task in tasks:
                task.cancel()

    async def _follow(self) -> None:
        async for batch in self.log.follow(STREAM, after=nth(0)):
            for each in batch:
                self.cache.advance(each)


async def owned(resource: Resource) -> Mapping[Ref, Resource]:
    return {}


@asynccontextmanager
async def no_rows(*_: object) -> AsyncIterator[tuple[AsyncIterator[object], dict[str, object]]]:
    async def batches() -> AsyncIterator[object]:
        return
        yield

    yield batches(), {}


@pytest.mark.parametrize("outdated_answers", [0, 1, 3, 20])
def test_the_condition_follows_the_role_and_the_grants_of_the_author(
    monkeypatch: pytest.MonkeyPatch, outdated_answers: int
) -> None:
    monkeypatch.setattr(questions, "declared", no_rows)

    async def scene() -> None:
        world = World(outdated_answers)
        await world.scene.given(ADMINISTERED)
        async with world.running():
            await world.written(JANES)
            await world.written(BOBS)
            assert await world.reports() == 1
            await world.written(changed(BOBS, ref=LATER, spec=WRITES))
            reason, message = await world.condition()
            assert reason == NOT_BOUND
            assert str(message).startswith(WHY)
            await world.written(ADMIN)
            assert await world.condition() == (BOUND, "its roles are bound")
            await world.written(changed(ADMIN, spec=JANES.spec))
            assert (await world.condition())[0] == NOT_BOUND
            assert await world.reports() == 4, "one report for each change"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
