"""The log has lost an event: its resource is not written any more, and no version is given twice,
until an operator closes its history."""

import pytest

from secaplane.command.attempt import Recorded
from secaplane.command.rules.commands import Close, Delete, Put
from secaplane.eventlog.codec import EventMissing
from secaplane.eventlog.decoding import readable, remaining
from secaplane.eventlog.log import UndecodableEvent
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.model.errors import HistoryIncomplete
from secaplane.model.events import Closed, Created, Updated
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from tests.log.new_events import new_event
from tests.positions import nth
from tests.rules.command_scene import ADMINISTERED, DISK, VOLUME, Scene
from tests.scenario import history

CREATED, BIGGER = Created(spec=VOLUME), Updated(spec=VOLUME | {"sizeGB": 20})
GROWN = VOLUME | {"sizeGB": 30}


async def grown(times: int = 2) -> Scene:
    """A volume with a creation and some updates, each by this process."""
    scene = await Scene().given(ADMINISTERED)
    for n in range(times + 1):
        await scene.put(DISK, VOLUME | {"sizeGB": 10 + n}, f"r{n}")
    return scene


def restarted(scene: Scene) -> Scene:
    """A process without anything cached, on the same log."""
    return Scene(log=scene.log)


async def damaged(scene: Scene, ref: Ref = DISK) -> EventMissing:
    with pytest.raises(EventMissing) as refusal:
        await scene.put(ref, GROWN)
    return refusal.value


# --- reading a history


def test_an_event_whose_predecessor_is_missing_cannot_be_read() -> None:
    first, second, third = history(DISK, CREATED, BIGGER, BIGGER)
    assert readable([first, second, third], BEGINNING)
    with pytest.raises(EventMissing, match="event SECA:2 "):
        readable([first, third])
    with pytest.raises(EventMissing, match="event SECA:1 "):
        readable([second, third], BEGINNING)


def test_of_a_part_of_a_history_the_first_predecessor_is_not_asked_for() -> None:
    _, second, third = history(DISK, CREATED, BIGGER, BIGGER)
    assert readable([second, third]) == (second, third)


def test_a_closing_leaves_out_what_follows_a_missing_event() -> None:
    first, _, third, end = history(DISK, CREATED, BIGGER, BIGGER, Closed(since=nth(3), version=4))
    assert readable([first, third, end], BEGINNING) == (first, end)


def test_an_event_after_a_missing_one_is_undecodable_and_names_it() -> None:
    first, _, third = history(DISK, CREATED, BIGGER, BIGGER)
    last = remaining([first, third], BEGINNING)[-1]
    assert isinstance(last, UndecodableEvent)
    assert (last.position, last.missing, last.foreign) == (nth(3), nth(2), False)


# --- writing


async def test_a_lost_event_in_the_middle_stops_the_writes_of_a_new_process() -> None:
    scene = await grown()
    positions = [each.position for each in await scene.log.read(DISK)]
    scene.log.lose(positions[1])
    await damaged(restarted(scene))


async def test_a_lost_newest_event_stops_the_writes_of_a_process_that_has_read_it() -> None:
    scene = await grown()
    scene.log.lose((await scene.log.read(DISK))[-1].position)
    last = await scene.log.last(DISK)
    error = await damaged(scene)

    assert error.known is not None
    assert error.known.version == 3
    assert await scene.log.last(DISK) == last


async def test_a_resource_whose_only_event_is_lost_is_not_created_again() -> None:
    scene = await grown(0)
    scene.log.lose((await scene.log.read(DISK))[-1].position)
    await damaged(scene)
    assert await scene.log.last(DISK) == BEGINNING


async def test_a_snapshot_shows_that_the_newest_event_is_lost() -> None:
    scene = await grown(3)
    snapshots = MemorySnapshots()
    resource = await scene.dependencies.cache.current(DISK)
    assert resource is not None
    await snapshots.save(resource)
    scene.log.lose(resource.position)
    with pytest.raises(EventMissing):
        await ResourceCache(scene.log, snapshots).current(DISK)


async def test_a_leader_that_does_not_know_a_position_has_lost_no_event() -> None:
    """A leader that lags, or a log that was cut: it says nothing about one event."""
    scene = await grown()
    before = scene.dependencies.cache.cached(DISK)
    scene.log.cut(nth(3))
    assert await scene.dependencies.cache.current(DISK) == before


# --- the exit


async def test_only_an_operator_closes_what_has_lost_an_event() -> None:
    scene = await grown()
    scene.log.lose((await scene.log.read(DISK))[-1].position)
    with pytest.raises(HistoryIncomplete):
        await scene.handled(DISK, Delete())


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_closed_name_never_gets_a_version_again_that_a_reader_has_seen(lost: int) -> None:
    scene = await grown()
    before = await scene.dependencies.cache.current(DISK)
    assert before is not None
    scene.log.lose((await scene.log.read(DISK))[lost].position)
    operator = restarted(scene)
    close = Close(since=before.position, version=before.version, reason="given up")
    result = await operator.handled(DISK, close)
    assert isinstance(result, Recorded)
    assert (result.resource.gone, result.resource.version) == (True, before.version + 1)
    process = restarted(scene)
    await process.put(DISK, VOLUME, "again")
    again = await process.dependencies.cache.current(DISK)
    assert again is not None
    assert again.version == before.version + 2
    assert fold(await scene.log.read(DISK)) == again


async def test_an_event_of_another_history_is_no_predecessor() -> None:
    scene = await grown(0)
    await scene.log.append(new_event(DISK, BIGGER, previous=await scene.log.last(DISK)))
    assert len(await scene.log.read(DISK)) == 2
    await scene.handled(DISK, Put(spec=GROWN))
