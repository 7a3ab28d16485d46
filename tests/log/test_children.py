"""What is known to lie in a parent, and the guard under which that stays true."""

import time
from collections.abc import Sequence

import msgspec
import pytest

from secaplane.command.gather.children import ChildrenReader
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.memory import MemoryLog
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, StatusReported
from secaplane.model.position import Position
from secaplane.model.shape import Ref, State
from tests.log.new_events import SALT
from tests.positions import STREAM, nth
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
        new_event = NewEvent(
            ref=ref, uid="u", time=NOON, request="r", salt=SALT, actor=JANE, event=event
        )
        await self.log.append(msgspec.structs.replace(new_event, previous=await self.log.last(ref)))

    async def children(self, parent: Ref, include_terminating: bool) -> Sequence[Ref]:
        self.asked += 1
        return self.known

    async def reached(self, positions: Sequence[Position], seconds: float) -> bool:
        return True

    def children_reader(self, *, include_terminating: bool = False) -> ChildrenReader:
        return ChildrenReader(
            self.log, self.children, self.reached, NETWORK, include_terminating=include_terminating
        )


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
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.happened(TABLE, CREATED)
    scene.known = (SUBNET, TABLE)
    expectation = await children_reader.expectation(soon())
    assert set(children_reader.children) == {SUBNET, TABLE}
    assert expectation.after == await scene.log.end(STREAM)


async def test_reports_and_deletions_only_move_the_guard(scene: Scene) -> None:
    await scene.happened(TABLE, CREATED)
    await scene.happened(TABLE, DeletionRequested())
    children_reader = scene.children_reader()
    first = await children_reader.expectation(soon())
    report = StatusReported(state=State.DELETING, observed_position=nth(3))
    for event in (report, report, Deleted()):
        await scene.happened(TABLE, event)
        expectation = await children_reader.expectation(soon())
        assert expectation.after == await scene.log.end(STREAM) > first.after
    assert children_reader.children == []
    assert scene.asked == 1


async def test_what_the_tables_know_already_is_not_counted_twice(scene: Scene) -> None:
    """They may be further than they were asked to be."""
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    scene.known = (TABLE,)
    await scene.happened(TABLE, CREATED)
    other = scene.children_reader()
    other_guard = await other.expectation(soon())
    assert other.children == [TABLE]
    assert (await children_reader.expectation(soon())).after == other_guard.after
    assert children_reader.children == [TABLE]


async def test_a_race_lost_to_what_changes_no_judgement_only_moves_the_guard(
    scene: Scene,
) -> None:
    await scene.happened(TABLE, CREATED)
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.happened(TABLE, StatusReported(state=State.ACTIVE, observed_position=nth(2)))
    await scene.happened(TABLE, DeletionRequested())
    moved = await children_reader.renewed()
    assert moved is not None
    assert moved.after == await scene.log.end(STREAM)


@pytest.mark.parametrize(("ref", "event"), [(SUBNET, CREATED), (NETWORK, DeletionRequested())])
async def test_what_was_judged_is_judged_again_when_something_comes_or_happens_to_the_parent(
    scene: Scene, ref: Ref, event: AnyEvent
) -> None:
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.happened(ref, event)
    assert await children_reader.renewed() is None
    expectation = await children_reader.expectation(soon())
    assert expectation.after == await scene.log.end(STREAM)
    assert children_reader.children == ([SUBNET] if ref == SUBNET else [])
