"""What is known to lie in a parent, and the guard under which that stays true."""

import time
from collections.abc import Sequence

import pytest

from secaplane.command.gather.children import Lookout
from secaplane.eventlog.codec import Page
from secaplane.eventlog.memory import MemoryLog
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, StatusReported
from secaplane.model.shape import Position, Ref, State
from tests.scenario import IDS, JANE, NOON

NETWORK = KINDS["network"].ref(IDS, "net")
SUBNET = KINDS["subnet"].ref(IDS, "s")
TABLE = KINDS["routing-table"].ref(IDS, "r")
CREATED = Created(spec={})


class Scene:
    """A log, and a read model of it that stands where it last looked."""

    def __init__(self) -> None:
        self.log = MemoryLog("eu-1")
        self.known: tuple[Ref, ...] = ()
        self.asked = 0

    async def happened(self, ref: Ref, event: AnyEvent) -> None:
        page = Page(ref=ref, uid="u", time=NOON, request="r", by=JANE, event=event)
        await self.log.append(page, after=await self.log.last(ref))

    async def inside(self, parent: Ref, going_too: bool) -> Sequence[Ref]:
        self.asked += 1
        return self.known

    async def reached(self, position: Position, seconds: float) -> bool:
        return True

    def lookout(self, *, going_too: bool = False) -> Lookout:
        return Lookout(self.log, self.inside, self.reached, NETWORK, going_too=going_too)


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.happened(NETWORK, CREATED)
    return scene


def soon() -> float:
    return time.monotonic() + 5


async def test_what_is_created_beside_what_lies_there_is_noticed(scene: Scene) -> None:
    """What lies there may be no obstacle, where the parent takes it along: the new one is."""
    await scene.happened(SUBNET, CREATED)
    scene.known = (SUBNET,)
    lookout = scene.lookout()
    await lookout.guard(soon())
    await scene.happened(TABLE, CREATED)
    scene.known = (SUBNET, TABLE)
    guard = await lookout.guard(soon())
    assert set(lookout.inside) == {SUBNET, TABLE}
    assert guard.after == await scene.log.end()


async def test_reports_and_deletions_only_move_the_guard(scene: Scene) -> None:
    await scene.happened(TABLE, CREATED)
    await scene.happened(TABLE, DeletionRequested())
    lookout = scene.lookout()
    first = await lookout.guard(soon())
    report = StatusReported(state=State.DELETING, seen=Position(3))
    for event in (report, report, Deleted()):
        await scene.happened(TABLE, event)
        guard = await lookout.guard(soon())
        assert guard.after == await scene.log.end() > first.after
    assert lookout.inside == []
    assert scene.asked == 1


async def test_what_the_tables_know_already_is_not_counted_twice(scene: Scene) -> None:
    """They may be further than they were asked to be."""
    lookout = scene.lookout()
    await lookout.guard(soon())
    scene.known = (TABLE,)
    await scene.happened(TABLE, CREATED)
    other = scene.lookout()
    other_guard = await other.guard(soon())
    assert other.inside == [TABLE]
    assert (await lookout.guard(soon())).after == other_guard.after
    assert lookout.inside == [TABLE]


async def test_a_race_lost_to_what_changes_no_judgement_only_moves_the_guard(
    scene: Scene,
) -> None:
    await scene.happened(TABLE, CREATED)
    lookout = scene.lookout()
    await lookout.guard(soon())
    await scene.happened(TABLE, StatusReported(state=State.ACTIVE, seen=Position(2)))
    await scene.happened(TABLE, DeletionRequested())
    moved = await lookout.moved()
    assert moved is not None
    assert moved.after == await scene.log.end()


@pytest.mark.parametrize(("ref", "event"), [(SUBNET, CREATED), (NETWORK, DeletionRequested())])
async def test_what_was_judged_is_judged_again_when_something_comes_or_happens_to_the_parent(
    scene: Scene, ref: Ref, event: AnyEvent
) -> None:
    lookout = scene.lookout()
    await lookout.guard(soon())
    await scene.happened(ref, event)
    assert await lookout.moved() is None
    guard = await lookout.guard(soon())
    assert guard.after == await scene.log.end()
    assert lookout.inside == ([SUBNET] if ref == SUBNET else [])
