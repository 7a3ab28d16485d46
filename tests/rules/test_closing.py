"""A history that cannot be read is closed: by a DELETE where it hides nothing, else by an
operator."""

import asyncio
from collections.abc import Sequence

import pytest

from secaplane.command.attempt import Recorded
from secaplane.command.gather.damage import examined
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Close, Command, Delete, Put, ReportStatus
from secaplane.command.submit import submit
from secaplane.eventlog.codec import Undecodable, encode
from secaplane.eventlog.decoding import readable, remaining
from secaplane.eventlog.log import Followed, UndecodableEvent
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict, Damaged, NotFound, PreconditionFailed, Refusal
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Closed,
    Created,
    Deleted,
    DeletionRequested,
    Updated,
)
from secaplane.model.evolve import evolve, fold
from secaplane.model.precondition import Precondition
from secaplane.model.shape import Moment, Ref, State
from tests.log.new_events import new_event
from tests.positions import nth
from tests.rules.command_scene import ADMINISTERED, DISK, VOLUME, Scene
from tests.scenario import IDS, JANE, WEB, given, history

CREATED, BIGGER = Created(spec=VOLUME), Updated(spec=VOLUME | {"sizeGB": 20})
GARBAGE = b"hello, is this thing on?"
LATER = encode(new_event(DISK, BIGGER), "SECA").replace(b'"updated"', b'"amended"')
"""An event of a later release."""
NOTHING = UndecodableEvent(DISK, nth(2), "no event", foreign=True)


def events(*some: AnyEvent | UndecodableEvent) -> list[Followed]:
    """A history in which some events cannot be decoded."""
    placeholders = [DeletionRequested() if isinstance(e, UndecodableEvent) else e for e in some]
    recorded = history(DISK, *placeholders)
    return [
        UndecodableEvent(DISK, r.position, e.reason, e.foreign)
        if isinstance(e, UndecodableEvent)
        else r
        for r, e in zip(recorded, some, strict=True)
    ]


def closed(since: int, version: int, reason: str = "no event") -> Closed:
    return Closed(since=nth(since), version=version, reason=reason)


# --- reading


def test_a_history_is_read_without_what_was_closed() -> None:
    some = events(CREATED, NOTHING, BIGGER, closed(2, 4), CREATED)
    assert [each.position for each in readable(some)] == [nth(1), nth(4), nth(5)]


def test_a_history_that_is_damaged_after_it_was_closed_cannot_be_read() -> None:
    some = events(CREATED, NOTHING, closed(2, 3), NOTHING)
    with pytest.raises(Undecodable) as error:
        readable(some)
    assert error.value.ref == DISK


def test_a_history_can_be_closed_again_and_again() -> None:
    some = events(NOTHING, closed(1, 2), NOTHING, closed(3, 4), CREATED, NOTHING, closed(6, 5))
    assert [each.position.sequence for each in remaining(some)] == [2, 4, 5, 7]


def test_a_closed_resource_is_gone_and_its_version_goes_on() -> None:
    resource = fold(readable(events(CREATED, BIGGER, NOTHING, closed(3, 4))))
    assert resource is not None
    assert (resource.gone, resource.state, resource.version) == (True, State.DELETING, 4)
    assert (resource.deleted_at, resource.unsettled) == (resource.time, False)
    assert (resource.conditions[0].reason, resource.conditions[0].message) == ("Closed", "no event")
    again = evolve(resource, history(DISK, CREATED, CREATED, CREATED, CREATED, CREATED)[-1])
    assert (again.gone, again.version) == (False, 5)


def test_a_release_that_can_read_what_was_closed_finds_the_same_version() -> None:
    resource = fold(history(DISK, CREATED, BIGGER, BIGGER, closed(2, 4)))
    assert resource is not None
    assert (resource.gone, resource.version) == (True, 4)


def test_a_name_of_which_nothing_could_be_read_begins_anew() -> None:
    resource = fold(readable(events(NOTHING, closed(1, 2), CREATED)))
    alone = fold(history(DISK, CREATED))
    assert resource is not None
    assert alone is not None
    assert (resource.version, resource.events) == (alone.version, alone.events) == (1, 1)


def test_the_next_life_names_the_closing_as_the_end_of_the_former_one() -> None:
    """The same whether a reader kept what is left of a name that was never readable, or nothing."""
    some = events(NOTHING, closed(1, 2), CREATED)
    created = readable(some)[-1]
    kept, nothing = fold(readable(some)), evolve(None, created)
    assert kept == nothing
    assert nothing.former_end == Moment(nth(2), created.time)


def test_closing_what_is_gone_changes_only_position_and_version() -> None:
    gone = fold(history(DISK, CREATED, DeletionRequested(), Deleted()))
    after = fold(readable(events(CREATED, DeletionRequested(), Deleted(), NOTHING, closed(4, 4))))
    assert gone is not None
    assert after is not None
    assert (after.conditions, after.deleted_at) == (gone.conditions, gone.deleted_at)
    assert (after.gone, after.version, after.position) == (True, 4, nth(5))


# --- finding the damage


def test_the_damage_begins_with_the_first_event_that_cannot_be_decoded() -> None:
    resource, damage = examined(events(CREATED, NOTHING, NOTHING))
    assert resource == fold(history(DISK, CREATED))
    assert damage is not None
    assert (damage.since, damage.position, damage.left_out) == (nth(2), nth(3), 2)
    assert (damage.foreign, damage.reason) == (True, "no event")


@pytest.mark.parametrize(
    "some",
    [
        [CREATED, UndecodableEvent(DISK, nth(2), "unknown event type amended v2")],
        [CREATED, NOTHING, BIGGER],
        [BIGGER],
        [CREATED, ActionRequested(action="hibernate")],
    ],
)
def test_an_event_that_another_release_may_be_able_to_read_is_not_foreign(
    some: Sequence[AnyEvent | UndecodableEvent],
) -> None:
    _, damage = examined(events(*some))
    assert damage is not None
    assert not damage.foreign


def test_what_a_read_model_leaves_out_counts_as_damage() -> None:
    resource, damage = examined(events(CREATED, BIGGER, BIGGER), since=nth(2))
    assert resource is not None
    assert damage is not None
    assert (resource.version, damage.since, damage.left_out) == (1, nth(2), 2)


def test_a_history_that_can_be_read_has_no_damage() -> None:
    assert examined(events(CREATED, NOTHING, closed(2, 3), CREATED))[1] is None


# --- commands


async def damaged(data: bytes, *, creating: bool = True) -> Scene:
    """A volume with an event that cannot be decoded."""
    scene = await Scene().given(ADMINISTERED, *([DISK] if creating else []))
    scene.log.inject(DISK, data)
    return scene


async def refused(scene: Scene, command: Command) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        await scene.handled(DISK, command)
    return refusal.value


async def test_a_delete_closes_what_no_release_can_read() -> None:
    scene = await damaged(GARBAGE)
    result = await scene.handled(DISK, Delete())
    assert isinstance(result, Recorded)
    assert isinstance(result.event, Closed)
    assert result.event.version == 3
    current = await scene.dependencies.cache.current(DISK)
    assert current is not None
    assert (current.gone, current) == (True, result.resource)
    assert isinstance(await refused(scene, Delete()), NotFound)
    created = await scene.handled(DISK, Put(spec=VOLUME))
    assert created.resource is not None
    assert (type(created.event), created.resource.version) == (Created, 4)


async def test_a_delete_closes_a_name_that_was_never_readable() -> None:
    scene = await damaged(GARBAGE, creating=False)
    assert isinstance((await scene.handled(DISK, Delete())).event, Closed)
    created = await scene.handled(DISK, Put(spec=VOLUME))
    assert created.resource is not None
    assert created.resource.version == 1


async def test_of_two_deletes_at_once_one_closes_and_the_other_finds_nothing() -> None:
    scene = await damaged(GARBAGE)
    rival = new_event(DISK, closed(6, 3))
    scene.log.faster = rival
    assert isinstance(await refused(scene, Delete()), NotFound)
    history = await scene.log.history(DISK)
    assert [type(getattr(each, "event", None)) for each in history] == [Created, type(None), Closed]


async def test_many_deletes_at_once_record_one_event() -> None:
    scene = await damaged(GARBAGE)
    outcomes = await asyncio.gather(
        *(
            handle(scene.dependencies, DISK, Delete(), actor=JANE, request=f"r{n}")
            for n in range(8)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Recorded) for each in outcomes) == 1
    assert sum(isinstance(each, NotFound) for each in outcomes) == 7


async def test_a_lost_answer_to_a_closing_is_found_again() -> None:
    scene = await damaged(GARBAGE)
    first = await scene.handled(DISK, Delete(), request="mine")
    again = await scene.log.read(DISK)
    assert [each.request for each in again] == ["r", "mine"]
    assert again[-1].position == first.position


async def test_a_delete_does_not_close_what_another_release_may_read() -> None:
    scene = await damaged(LATER)
    refusal = await refused(scene, Delete())
    assert isinstance(refusal, Damaged)
    assert (refusal.ref, "another release" in refusal.detail) == (DISK, True)
    assert len(await scene.log.history(DISK)) == 2


async def test_an_operator_closes_what_another_release_may_read() -> None:
    scene = await damaged(LATER)
    result = await scene.handled(DISK, Close(reason="given up"))
    assert isinstance(result.event, Closed)
    assert (result.event.since, result.event.reason) == (nth(6), "given up")


async def test_an_operator_does_not_close_what_can_be_read() -> None:
    scene = await Scene().given(ADMINISTERED, DISK)
    assert isinstance(await refused(scene, Close()), Conflict)


async def test_a_delete_with_a_precondition_closes_nothing() -> None:
    scene = await damaged(GARBAGE)
    assert isinstance(
        await refused(scene, Delete(precondition=Precondition(version=2))), PreconditionFailed
    )


async def test_what_is_in_use_is_not_closed() -> None:
    scene = await damaged(GARBAGE)
    scene.referrers = [KINDS["instance"].ref(IDS, "one")]
    for command in (Delete(), Close()):
        refusal = await refused(scene, command)
        assert isinstance(refusal, Conflict)
        assert refusal.meta["count"] == 1


async def test_the_creators_role_assignment_is_deleted_with_a_closed_workspace() -> None:
    """So that the next creator of the name gets one, and the former one has none in that life."""
    scene = await Scene().given(ADMINISTERED)
    companion = KINDS["workspace"].owned.companion
    assert companion is not None
    made = companion(WEB, {}, "carol")
    ref = Ref(made.kind, made.path)
    await scene.recorded(ref, Created(spec=made.spec), tenant="u1")
    scene.log.inject(WEB, GARBAGE)
    submitted = await submit(scene.dependencies, WEB, Delete(), actor=JANE, request="mine")
    assert isinstance(submitted.result.event, Closed)
    assignment = await scene.dependencies.cache.current(ref)
    assert assignment is not None
    assert (assignment.deleted_at is not None, submitted.companion) == (True, assignment.position)


async def test_put_and_reports_still_meet_the_damage() -> None:
    scene = await damaged(GARBAGE)
    report = ReportStatus(uid="u1", observed_position=nth(5), state=State.ACTIVE, status={})
    for command in (Put(spec=VOLUME), report):
        with pytest.raises(Undecodable) as error:
            await scene.handled(DISK, command)
        assert error.value.ref == DISK


def test_children_that_would_be_deleted_with_a_parent_block_its_closing() -> None:
    network = given("network", CREATED)
    _, damage = examined(events(CREATED, NOTHING))
    children: list[Ref] = [KINDS["subnet"].ref(IDS, "s")]
    network.containing(children).damaged(damage).when(Close()).then_refused(Conflict)
