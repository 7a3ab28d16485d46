"""A reconciler that is woken before the log's leader has the event still sees the event."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from secaplane.eventlog.log import Log
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.events import Created
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref, Resource, State
from secaplane.plugins.plugin import Bound, Fence, Outcome, Plugin, Ready
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.run import Reconcilers
from tests.log.lagging import LaggingLog
from tests.positions import STREAM
from tests.rules.command_scene import ADMINISTERED, VOLUME, Scene
from tests.rules.everything_held import EverythingHeld
from tests.scenario import IDS
from tests.sealing import SEALERS
from tests.virtual_time import in_virtual_time

DISKS = [KINDS["block-storage"].ref(IDS, f"d{n}") for n in range(50)]
SETTLED_S_MAX = 30.0


class ReadyPlugin:
    async def ensure(self, resource: Resource, bound: Bound, fence: Fence) -> Outcome:
        return Ready({"sizeGB": resource.spec["sizeGB"]} if "sizeGB" in resource.spec else {})

    async def remove(self, resource: Resource, fence: Fence) -> Outcome:
        return Ready()


async def owned(resource: Resource) -> Mapping[Ref, Resource]:
    return {}


def reconcilers(scene: Scene, log: Log) -> Reconcilers:
    commands = replace(scene.dependencies, log=log, cache=ResourceCache(log, MemorySnapshots()))
    plugin = cast(Plugin, ReadyPlugin())
    dependencies = ReconcileDependencies(commands, plugin, FenceSource(1), SEALERS, owned)
    return Reconcilers(dependencies, log, cast(Any, None), cast(Any, EverythingHeld()))


async def states(scene: Scene) -> list[State | None]:
    folded = [fold(await scene.log.read(ref)) for ref in DISKS]
    return [None if each is None or each.gone else each.state for each in folded]


async def settled(scene: Scene, log: Log, desired: Sequence[State | None]) -> bool:
    """Changes of other processes, followed and reconciled; True once all have the state."""
    running = reconcilers(scene, log)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(running._follow(STREAM, BEGINNING))]
        tasks += [group.create_task(running._work()) for _ in range(4)]
        for disk in DISKS:
            await asyncio.sleep(0.01)
            await scene.recorded(disk, Created(spec=VOLUME), tenant="u1")
        await asyncio.sleep(SETTLED_S_MAX)
        for task in tasks:
            task.cancel()
    return await states(scene) == desired


@in_virtual_time
async def test_every_volume_settles_although_the_leader_lags_behind_the_follower() -> None:
    scene = await Scene().given(ADMINISTERED)
    log = MonotonicLog(LaggingLog(scene.log, outdated_answers=2))
    assert await settled(scene, log, [State.ACTIVE] * len(DISKS))
