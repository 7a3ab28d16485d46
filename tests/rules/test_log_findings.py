"""Findings of `secaplane log check`: streams against their sequence, and one resource as the log,
the rows, the history and the snapshot have it."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from secaplane.cli.operate.log_findings import Finding, Stored, cut, findings, holes
from secaplane.eventlog.log import Followed, UndecodableEvent
from secaplane.eventlog.losses.holes import Hole
from secaplane.kinds import KINDS
from secaplane.model.events import Closed, Created, RecordedEvent, StatusReported, Updated
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Resource, State
from tests.positions import STREAM, nth
from tests.scenario import IDS, found, history

DISK = KINDS["block-storage"].ref(IDS, "one")
PLACE = f"block-storage {DISK.path}"
CREATED, BIGGER = Created(spec={"sizeGB": 10}), Updated(spec={"sizeGB": 20})
EVENTS = history(DISK, CREATED, found(State.ACTIVE, observed_position=1), BIGGER)
ODD = UndecodableEvent(DISK, nth(3), "unknown event type Merged v7")


def after(events: Sequence[RecordedEvent], count: int) -> Resource:
    """The resource after the first events."""
    resource = fold(events[:count])
    assert resource is not None
    return resource


WHOLE = Stored(
    row=after(EVENTS, 3),
    reached=nth(3),
    history={nth(n): after(EVENTS, n) for n in (1, 2, 3)},
    snapshot=after(EVENTS, 2),
)
OTHER = replace(after(EVENTS, 3), spec={"sizeGB": 99})
LATER = replace(after(EVENTS, 3), position=nth(9))


def found_in(events: Sequence[Followed], stored: Stored = WHOLE) -> list[tuple[str, str]]:
    """The problems with their details."""
    some = [*findings(DISK, events, stored)]
    assert {each.place for each in some} <= {PLACE}
    return [(each.problem, each.detail) for each in some]


# --- streams


def test_missing_positions_are_a_hole_unless_an_operator_has_acknowledged_them() -> None:
    some = [Hole(STREAM, 3, 3), Hole(STREAM, 7, 9)]
    assert [*holes(some, [])] == [
        Finding("hole", "SECA:3", "1 events are missing"),
        Finding("hole", "SECA:7-9", "3 events are missing"),
    ]
    assert [each.place for each in holes(some, [Hole(STREAM, 1, 8)])] == ["SECA:9"]
    assert [*holes(some, some)] == []


def test_a_stream_that_ends_before_the_rows_is_cut() -> None:
    assert [*cut(STREAM, nth(7), nth(7))] == []
    assert [*cut(STREAM, nth(8), nth(7))] == []
    (finding,) = cut(STREAM, nth(6), nth(7))
    assert finding == Finding("cut", STREAM, "the log ends at SECA:6, and the rows at SECA:7")
    (finding,) = cut(STREAM, BEGINNING, nth(7))
    assert finding.detail == "the log ends at 0, and the rows at SECA:7"


# --- the events of a resource


def test_nothing_is_found_where_everything_agrees() -> None:
    assert found_in(EVENTS) == []


@pytest.mark.parametrize(
    ("lost", "detail"),
    [
        (1, "at SECA:2: event SECA:1 of the resource is missing in the log"),
        (2, "at SECA:3: event SECA:2 of the resource is missing in the log"),
    ],
)
def test_an_event_without_its_predecessor_breaks_the_chain(lost: int, detail: str) -> None:
    left = [each for each in EVENTS if each.position != nth(lost)]
    assert found_in(left) == [("chain", detail)]


def test_the_newest_event_that_is_lost_shows_in_everything_that_was_derived_from_it() -> None:
    stored = WHOLE._replace(snapshot=after(EVENTS, 3))
    assert found_in(EVENTS[:2], stored) == [
        ("row", "shows event SECA:3; the log ends at SECA:2 for it"),
        ("history", "has event SECA:3, which the log does not have"),
        ("snapshot", "shows event SECA:3, which the log does not have"),
    ]


def test_a_resource_that_has_lost_every_event_is_found_by_its_row() -> None:
    stored = WHOLE._replace(history={}, snapshot=None)
    assert found_in([], stored) == [("row", "shows event SECA:3; the log ends at 0 for it")]


TWIN = replace(EVENTS[2], position=nth(4), previous=nth(2), request="another")


def test_two_events_that_follow_the_same_one_are_named_once() -> None:
    """The later one is not reported as one without its predecessor, too."""
    assert found_in([*EVENTS, TWIN]) == [("twice", "events SECA:3 and SECA:4 follow SECA:2")]
    second = replace(EVENTS[0], position=nth(2), request="another")
    assert found_in([EVENTS[0], second]) == [
        ("twice", "events SECA:1 and SECA:2 follow no other event")
    ]


@pytest.mark.parametrize("since", [3, 4])
def test_two_events_that_follow_the_same_one_are_over_when_the_resource_is_closed(
    since: int,
) -> None:
    end = replace(
        EVENTS[2], position=nth(5), previous=nth(4), event=Closed(since=nth(since), version=3)
    )
    events = [*EVENTS, TWIN, end]
    row = fold([*EVENTS[: since - 1], end])
    assert found_in(events, Stored(row, nth(5), {}, None)) == []


def test_an_event_that_cannot_be_decoded_is_named_with_its_reason() -> None:
    assert found_in([*EVENTS[:2], ODD]) == [
        ("undecodable", "at SECA:3: unknown event type Merged v7")
    ]


def test_so_is_one_that_does_not_fit_what_is_before_it() -> None:
    active = StatusReported(state=State.ACTIVE, observed_position=nth(1))
    ((problem, detail),) = found_in(history(DISK, active), Stored(None, nth(1), {}, None))
    assert problem == "undecodable"
    assert detail.startswith("at SECA:1: ")


def test_what_a_closing_leaves_out_is_not_found_any_more() -> None:
    end = replace(
        EVENTS[2], position=nth(4), previous=nth(3), event=Closed(since=nth(3), version=2)
    )
    row = fold([*EVENTS[:2], end])
    assert found_in([*EVENTS[:2], ODD, end], Stored(row, nth(4), {}, None)) == []


# --- what was derived from them


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (WHOLE._replace(row=OTHER), ("row", "differs from the fold at SECA:3")),
        (WHOLE._replace(row=after(EVENTS, 2)), ("row", "does not show event SECA:3")),
        (WHOLE._replace(row=None), ("row", "does not show event SECA:3")),
        (WHOLE._replace(row=LATER), ("row", "shows event SECA:9; the log ends at SECA:3 for it")),
        (
            WHOLE._replace(history={nth(3): OTHER}),
            ("history", "differs from the fold at SECA:3"),
        ),
        (
            WHOLE._replace(history={nth(9): LATER}),
            ("history", "has event SECA:9, which the log does not have"),
        ),
        (WHOLE._replace(snapshot=OTHER), ("snapshot", "differs from the fold at SECA:3")),
        (
            WHOLE._replace(snapshot=LATER),
            ("snapshot", "shows event SECA:9, which the log does not have"),
        ),
    ],
)
def test_each_thing_that_disagrees_is_named(stored: Stored, expected: tuple[str, str]) -> None:
    assert found_in(EVENTS, stored) == [expected]


@pytest.mark.parametrize("reached", [BEGINNING, nth(1), nth(2)])
def test_rows_that_have_not_reached_an_event_need_not_show_it(reached: Position) -> None:
    shown = fold(EVENTS[: reached.sequence])
    assert found_in(EVENTS, Stored(shown, reached, {}, None)) == []


def test_a_row_may_be_newer_than_the_position_that_was_read_before_it() -> None:
    assert found_in(EVENTS, WHOLE._replace(reached=nth(1))) == []


def test_a_name_of_which_nothing_was_ever_readable_needs_no_row() -> None:
    end = replace(EVENTS[2], position=nth(4), event=Closed(since=nth(3), version=0))
    assert found_in([ODD, end], Stored(None, nth(4), {}, None)) == []
