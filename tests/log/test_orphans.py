"""What is put into something that goes unseen, a tenant too, is taken back."""

from collections.abc import Sequence
from itertools import count

import pytest

from secaplane.command.dependencies import Door
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Delete, Put
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import Folds
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict
from secaplane.model.events import SYSTEM, By, Created, DeletionRequested
from secaplane.model.shape import Position, Ref
from tests.log.pages import IDS, NOON, REGION, WEB

JANE = By(sub="jane")
TENANT = KINDS["tenant"].ref({}, IDS["tenant"])


async def nobody(ref: Ref, going_too: bool) -> list[Ref]:
    return []


async def no_users(refs: Sequence[Ref], going_too: bool) -> list[Ref]:
    return []


async def no_names(ref: Ref, kinds: Sequence[str]) -> list[Ref]:
    return []


async def at_once(position: Position, seconds: float) -> bool:
    return True


def door(log: MemoryLog) -> Door:
    """As another process would open it."""
    numbers = count(1)
    return Door(
        log=log,
        folds=Folds(log, MemorySnapshots()),
        clock=lambda: NOON,
        new_uid=lambda: f"u{next(numbers)}",
        inside=nobody,
        users=no_users,
        named_by=no_names,
        reached=at_once,
    )


@pytest.mark.parametrize("believed", [True, False], ids=["believed", "unknown"])
async def test_what_is_put_into_a_tenant_that_goes_is_taken_back(believed: bool) -> None:
    log = MemoryLog(REGION)
    here, elsewhere = door(log), door(log)
    await handle(here, TENANT, Put(spec={}), by=JANE, request="made")
    if not believed:
        here = door(log)
    await handle(elsewhere, TENANT, Delete(), by=JANE, request="deleted")
    with pytest.raises(Conflict):
        await handle(here, WEB, Put(spec={}), by=JANE, request="put")
    history = await log.read(WEB)
    if believed:
        assert [type(each.event) for each in history] == [Created, DeletionRequested]
        assert history[1].by == SYSTEM
    else:
        assert history == ()
