"""Holes in the log: which there are, whose they are, and what they stop."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from secaplane.command.gather.holes import judge
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Acknowledgement, Hole, between, parse, unknown, without
from secaplane.eventlog.losses.integrity import LogIntegrity
from secaplane.model.errors import HistoryIncomplete, Unavailable
from secaplane.model.shape import Ref
from tests.positions import STREAM, nth
from tests.rules.command_scene import ADMINISTERED, DISK, SPARE, VOLUME, Scene
from tests.scenario import NOON


def hole(first: int, last: int = 0) -> Hole:
    return Hole(STREAM, first, last or first)


def test_holes_are_what_a_sequence_skips() -> None:
    assert [*between(STREAM, 0, [1, 2, 5, 6, 8])] == [hole(3, 4), hole(7)]
    assert [*between(STREAM, 0, [3])] == [hole(1, 2)]
    assert [*between(STREAM, 4, [5, 6])] == []


def test_what_is_acknowledged_is_taken_out_of_a_hole() -> None:
    assert without(hole(3, 9), [hole(5, 6)]) == [hole(3, 4), hole(7, 9)]
    assert without(hole(3, 9), [hole(1, 3), hole(9, 12)]) == [hole(4, 8)]
    assert without(hole(3, 9), [Hole("OTHER", 3, 9)]) == [hole(3, 9)]
    assert unknown([hole(3), hole(5)], [hole(1, 4)]) == [hole(5)]


@pytest.mark.parametrize("given", [hole(7), hole(7, 12)])
def test_a_hole_is_read_from_its_text(given: Hole) -> None:
    assert parse(str(given)) == given


@pytest.mark.parametrize("text", ["SECA", "SECA:0", "SECA:7-3", "7", "SECA:x"])
def test_other_text_is_no_hole(text: str) -> None:
    with pytest.raises(ValueError, match=r"hole|ends"):
        parse(text)


# --- whose


class Rows:
    def __init__(self, named: Mapping[Ref, Sequence[int]]) -> None:
        self._named = named

    async def named(self, hole: Hole) -> Mapping[Ref, Sequence[int]]:
        return self._named


async def two_volumes() -> Scene:
    scene = await Scene().given(ADMINISTERED)
    for n in range(3):
        await scene.put(DISK, VOLUME | {"sizeGB": 10 + n}, f"d{n}")
        await scene.put(SPARE, VOLUME | {"sizeGB": 10 + n}, f"s{n}")
    return scene


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_row_names_the_resource_that_has_lost_an_event(lost: int) -> None:
    scene = await two_volumes()
    position = (await scene.log.read(DISK))[lost].position
    scene.log.lose(position)
    rows = Rows({DISK: [position.sequence]})
    judged = await judge(scene.log, rows, [hole(position.sequence)])
    assert judged == ({DISK: hole(position.sequence)}, [])


async def test_a_resource_that_was_closed_since_is_not_damaged() -> None:
    scene = await two_volumes()
    position = (await scene.log.read(DISK))[1].position
    rows = Rows({DISK: [position.sequence]})
    assert await judge(scene.log, rows, [hole(position.sequence)]) == ({}, [])


async def test_a_hole_that_no_row_names_is_remarked_until_it_is_acknowledged() -> None:
    scene = await two_volumes()
    assert await judge(scene.log, Rows({}), [hole(6, 7)]) == ({}, [hole(6, 7)])
    scene.log.holes_acknowledged = [Acknowledgement(hole(6), "jane", NOON, "lost")]
    assert await judge(scene.log, Rows({}), [hole(6, 7)]) == ({}, [hole(7)])


# --- what it stops


async def test_a_damaged_resource_alone_is_not_written() -> None:
    log = LogIntegrity()
    log.compared([], {DISK: hole(3)}, comparison=log.comparing())
    await log.refuse_damaged(SPARE)
    with pytest.raises(HistoryIncomplete):
        await log.refuse_damaged(DISK)
    assert (log.reasons, len(log.remarks)) == ([], 1)


async def test_a_hole_that_no_row_names_stops_every_write() -> None:
    log = LogIntegrity()
    log.compared([hole(3, 4)], {}, comparison=log.comparing())
    with pytest.raises(Unavailable, match="until an operator decides"):
        await log.refuse_damaged(SPARE)
    assert "2 events are missing in the log, and no row names them (SECA:3-4)" in log.reasons[0]
    log.compared([], {}, comparison=log.comparing())
    await log.refuse_damaged(SPARE)


async def test_a_write_waits_for_a_comparison_that_began_after_the_last_doubt() -> None:
    """The result of an earlier one is about the log before it was connected again."""
    log = LogIntegrity()
    earlier = log.comparing()
    log.doubt()
    write = asyncio.create_task(log.refuse_damaged(SPARE))
    log.compared([], {}, comparison=earlier)
    await asyncio.sleep(0)
    later = log.comparing()
    await asyncio.sleep(0)
    assert not write.done()
    log.compared([hole(3)], {}, comparison=later)
    with pytest.raises(Unavailable):
        await write


async def test_a_log_that_ends_before_what_it_gave_stops_every_write() -> None:
    log = LogIntegrity()
    log.know(nth(9))
    log.ends(STREAM, nth(7))
    with pytest.raises(LogUnavailable, match="lost its end"):
        await log.refuse_damaged(SPARE)
    log.ends(STREAM, nth(9))
    await log.refuse_damaged(SPARE)
    assert log.reasons == []
