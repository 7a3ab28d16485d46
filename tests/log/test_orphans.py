"""A resource that is created in a tenant while the tenant is deleted is reverted."""

from collections.abc import Sequence
from itertools import count

import pytest

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Delete, Put
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.errors import Conflict
from secaplane.model.events import Created, DeletionRequested
from secaplane.model.position import Position
from secaplane.model.shape import Ref
from tests.log.new_events import IDS, NOON, REGION, SALT, WEB
from tests.sealing import SEALERS

JANE = Actor(sub="jane")
TENANT = KINDS["tenant"].ref({}, IDS["tenant"])


async def no_children(ref: Ref, include_terminating: bool) -> list[Ref]:
    return []


async def no_referrers(refs: Sequence[Ref], include_terminating: bool) -> list[Ref]:
    return []


async def no_names(ref: Ref, kinds: Sequence[str]) -> list[Ref]:
    return []


async def at_once(positions: Sequence[Position], seconds: float) -> bool:
    return True


def dependencies(log: MemoryLog) -> CommandDependencies:
    """Those of another process."""
    numbers = count(1)
    return CommandDependencies(
        log=log,
        cache=ResourceCache(log, MemorySnapshots()),
        clock=lambda: NOON,
        new_uid=lambda: f"u{next(numbers)}",
        new_salt=lambda: SALT,
        seal=SEALERS.seal,
        children=no_children,
        referrers=no_referrers,
        named_by=no_names,
        reached=at_once,
    )


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "unknown"])
async def test_a_creation_in_a_tenant_that_is_being_deleted_is_reverted(cached: bool) -> None:
    log = MemoryLog(REGION)
    here, elsewhere = dependencies(log), dependencies(log)
    await handle(here, TENANT, Put(spec={}), actor=JANE, request="made")
    if not cached:
        here = dependencies(log)
    await handle(elsewhere, TENANT, Delete(), actor=JANE, request="deleted")
    with pytest.raises(Conflict):
        await handle(here, WEB, Put(spec={}), actor=JANE, request="put")
    history = await log.read(WEB)
    if cached:
        assert [type(each.event) for each in history] == [Created, DeletionRequested]
        assert history[1].actor == SYSTEM
    else:
        assert history == ()
