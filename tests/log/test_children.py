"""The children of a parent, and the expectation under which no other child appears."""

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
    """A log, and a read model that a test dictates."""

    def __init__(self) -> None:
        self.log = MemoryLog("eu-1")
        self.rows: tuple[Ref, ...] = ()
        self.queries = 0

    async def record(self, ref: Ref, event: AnyEvent) -> None:
        new_event = NewEvent(
            ref=ref, uid="u", time=NOON, request="r", salt=SALT, actor=JANE, event=event
        )
        await self.log.append(msgspec.structs.replace(new_event, previous=await self.log.last(ref)))

    async def children(self, parent: Ref, include_terminating: bool) -> Sequence[Ref]:
        self.queries += 1
        return self.rows

    async def reached(self, positions: Sequence[Position], seconds: float) -> bool:
        return True

    def children_reader(self, *, include_terminating: bool = False) -> ChildrenReader:
        return ChildrenReader(
            self.log, self.children, self.reached, NETWORK, include_terminating=include_terminating
        )


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.record(NETWORK, CREATED)
    return scene


def soon() -> float:
    return time.monotonic() + 5


async def test_a_child_that_is_created_beside_others_is_noticed(scene: Scene) -> None:
    """Existing children may be deleted with the parent; the new one may block it."""
    await scene.record(SUBNET, CREATED)
    scene.rows = (SUBNET,)
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.record(TABLE, CREATED)
    scene.rows = (SUBNET, TABLE)
    expectation = await children_reader.expectation(soon())
    assert set(children_reader.children) == {SUBNET, TABLE}
    assert expectation.after == await scene.log.end(STREAM)


async def test_reports_and_deletions_only_move_the_expectation(scene: Scene) -> None:
    await scene.record(TABLE, CREATED)
    await scene.record(TABLE, DeletionRequested())
    children_reader = scene.children_reader()
    first = await children_reader.expectation(soon())
    report = StatusReported(state=State.DELETING, observed_position=nth(3))
    for event in (report, report, Deleted()):
        await scene.record(TABLE, event)
        expectation = await children_reader.expectation(soon())
        assert expectation.after == await scene.log.end(STREAM) > first.after
    assert children_reader.children == []
    assert scene.queries == 1


async def test_a_child_in_both_rows_and_log_is_counted_once(scene: Scene) -> None:
    """The rows may be newer than the position that was waited for."""
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    scene.rows = (TABLE,)
    await scene.record(TABLE, CREATED)
    other = scene.children_reader()
    other_expectation = await other.expectation(soon())
    assert other.children == [TABLE]
    assert (await children_reader.expectation(soon())).after == other_expectation.after
    assert children_reader.children == [TABLE]


async def test_after_a_conflict_with_reports_or_deletions_the_expectation_is_renewed(
    scene: Scene,
) -> None:
    await scene.record(TABLE, CREATED)
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.record(TABLE, StatusReported(state=State.ACTIVE, observed_position=nth(2)))
    await scene.record(TABLE, DeletionRequested())
    moved = await children_reader.renewed()
    assert moved is not None
    assert moved.after == await scene.log.end(STREAM)


@pytest.mark.parametrize(("ref", "event"), [(SUBNET, CREATED), (NETWORK, DeletionRequested())])
async def test_after_a_conflict_with_a_new_child_or_the_parent_the_command_is_decided_again(
    scene: Scene, ref: Ref, event: AnyEvent
) -> None:
    children_reader = scene.children_reader()
    await children_reader.expectation(soon())
    await scene.record(ref, event)
    assert await children_reader.renewed() is None
    expectation = await children_reader.expectation(soon())
    assert expectation.after == await scene.log.end(STREAM)
    assert children_reader.children == ([SUBNET] if ref == SUBNET else [])
