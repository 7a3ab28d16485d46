"""Dependents of what changed are found on a log that answers as of one event before what was
followed, also where a reference was removed or its resource is gone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.kinds.references import targets_of
from secaplane.model.events import (
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.readmodel import questions
from secaplane.readmodel.questions import Referrer
from secaplane.reconcilers.dependents import Dependents
from tests.log.appending import add
from tests.log.lagging import LaggingLog
from tests.positions import STREAM, nth
from tests.rules.command_scene import INSTANCE, Scene
from tests.scenario import IDS
from tests.virtual_time import VirtualLoop

NIC_A, NIC_B, NIC_C = (KINDS["nic"].ref(IDS, name) for name in "abc")
VM = KINDS["instance"].ref(IDS, "vm")
BALANCERS = {
    nic: KINDS["network-load-balancer"].ref(IDS, f"lb-{nic.name}") for nic in (NIC_A, NIC_B, NIC_C)
}
ACTIVE = StatusReported(state=State.ACTIVE, status={}, observed_position=BEGINNING)
FOUND_S, QUEUED_S = 5.0, 0.001


class World:
    """A process that follows a lagging log; the read model has every event."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scene = Scene()
        self.lagging = LaggingLog(self.scene.log, outdated_answers=3)
        self.log = MonotonicLog(self.lagging)
        cache = ResourceCache(self.log, MemorySnapshots())
        commands = replace(self.scene.dependencies, log=self.log, cache=cache)
        self.cache, self.dependents = cache, Dependents(cast(Any, None), commands)
        self.found: list[Ref] = []
        patch.setattr(questions, "referrers", self._referrers)
        patch.setattr(questions, "sharing_referrers", self._sharing)

    async def given(self) -> None:
        for nic, balancer in BALANCERS.items():
            await add(self.scene.log, nic, Created(spec={}))
            await add(self.scene.log, balancer, Created(spec=balancing(nic)))

    async def happens(self, ref: Ref, *events: AnyEvent) -> None:
        """Events of other processes, all in the log before the first of them is worked off."""
        await add(self.scene.log, ref, *events)

    async def run(self, *steps: Callable[[], Awaitable[None]]) -> list[Ref]:
        """The dependents that are queued after the last step."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow()), group.create_task(self._collect())]
            for step in steps:
                await asyncio.sleep(FOUND_S)
                self.found.clear()
                await step()
            await asyncio.sleep(FOUND_S)
            for task in tasks:
                task.cancel()
        return self.found

    async def _follow(self) -> None:
        async for batch in self.log.follow(STREAM, after=nth(0)):
            for each in batch:
                self.cache.advance(each)
                self.dependents.notice(each)

    async def _collect(self) -> None:
        while True:
            self.found += await self.dependents.next_batch()

    # the read model

    async def _referrers(
        self, _: object, targets: Sequence[Ref], *, kinds: Sequence[str]
    ) -> list[Referrer]:
        return [
            Referrer(target, each.ref, each.terminating)
            for target in targets
            for each in await self._living(kinds)
            if target in targets_of(each.ref, each.spec)
        ]

    async def _sharing(self, _: object, refs: Sequence[Ref], *, kinds: Sequence[str]) -> list[Ref]:
        own = [each for each in await self._living() if each.ref in refs]
        shared = {target for each in own for target in targets_of(each.ref, each.spec)}
        return [each.ref for each in await self._referrers(_, [*shared], kinds=kinds)]

    async def _living(self, kinds: Sequence[str] = ("instance",)) -> list[Resource]:
        living = await cast(Any, self.scene.dependencies.related)._living()
        return [each for each in living if each.ref.kind in kinds]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def with_nics(*nics: Ref) -> Json:
    return INSTANCE | {"additionalNicRefs": [{"resource": f"nics/{each.name}"} for each in nics]}


def balancing(nic: Ref) -> Json:
    target = {"members": [{"resource": f"nics/{nic.name}"}]}
    frontend = {"protocol": "tcp", "port": 80, "target": target}
    return {"nicRef": {"resource": "nics/own"}, "frontends": [frontend]}


def found(world: World, *steps: Callable[[], Awaitable[None]]) -> set[Ref]:
    """On virtual time."""

    async def scene() -> list[Ref]:
        await world.given()
        return await world.run(*steps)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return set(runner.run(scene()))


def test_a_target_that_becomes_active_is_followed_by_its_referrers(world: World) -> None:
    assert found(world, lambda: world.happens(NIC_A, ACTIVE)) == {BALANCERS[NIC_A]}


def test_a_resource_that_shares_a_target_is_found(world: World) -> None:
    events = (Created(spec=with_nics(NIC_A)), ACTIVE)
    assert found(world, lambda: world.happens(VM, *events)) == {BALANCERS[NIC_A]}


def test_a_target_that_is_referred_to_no_more_is_found_after_the_report(world: World) -> None:
    before = (Created(spec=with_nics(NIC_A)), ACTIVE)
    after = (Updated(spec=with_nics(NIC_B)), ACTIVE)
    steps = [lambda: world.happens(VM, *before), lambda: world.happens(VM, *after)]
    assert found(world, *steps) == {BALANCERS[NIC_A], BALANCERS[NIC_B]}


def test_an_update_that_is_followed_with_an_earlier_report_is_found_after_its_own(
    world: World,
) -> None:
    """The cloud has released the target only with the second report."""
    before = (Created(spec=with_nics(NIC_A)), ACTIVE, Updated(spec=with_nics(NIC_B)))
    steps = [lambda: world.happens(VM, *before), lambda: world.happens(VM, ACTIVE)]
    assert found(world, *steps) == {BALANCERS[NIC_A], BALANCERS[NIC_B]}


@pytest.mark.parametrize("again", [(), (Created(spec=with_nics(NIC_C)),)])
def test_targets_of_a_resource_that_is_gone_are_found(
    world: World, again: Sequence[AnyEvent]
) -> None:
    """Also where its name has begun another life before the rows were asked."""
    before = (Created(spec=with_nics(NIC_A)), ACTIVE, Updated(spec=with_nics(NIC_B)), ACTIVE)
    gone = (DeletionRequested(), Deleted())
    steps = [lambda: world.happens(VM, *before), lambda: world.happens(VM, *gone, *again)]
    assert found(world, *steps) >= {BALANCERS[NIC_A], BALANCERS[NIC_B]}


def test_only_targets_of_the_life_that_changed_are_asked_about(world: World) -> None:
    first = (
        Created(spec=with_nics(NIC_A)),
        DeletionRequested(),
        Deleted(),
    )
    second = (Created(spec=with_nics(NIC_B)), ACTIVE, DeletionRequested())
    end = (Deleted(), Created(spec=with_nics(NIC_C)))
    steps = [lambda: world.happens(VM, *first, *second), lambda: world.happens(VM, *end)]
    assert BALANCERS[NIC_A] not in found(world, *steps)
