"""Health: reasons where nothing can be served, remarks with numbers for the rest."""

import pytest

from secaplane.cli.processes.health import (
    Outages,
    Served,
    Stall,
    Unsettled,
    judged,
    lag_remarks,
    overdue_remarks,
)
from secaplane.eventlog.append_health import EVIDENCE_S, AppendHealth, Refusals
from secaplane.model.shape import Ref

COMMAND, QUERY = Served(reads=False, writes=True), Served(reads=True, writes=False)
SERVE = Served(reads=True, writes=True)
ONE, TWO = Ref("block-storage", "one"), Ref("block-storage", "two")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- reasons and remarks


@pytest.mark.parametrize("served", [COMMAND, QUERY, SERVE])
def test_without_an_outage_there_is_nothing_to_say(served: Served) -> None:
    assert judged(served, Outages(1.0, 1.0)) == ([], [])


@pytest.mark.parametrize(("served", "ready"), [(COMMAND, True), (QUERY, False), (SERVE, True)])
def test_an_unavailable_database_stops_only_a_process_that_only_reads(
    served: Served, ready: bool
) -> None:
    text = ["the database is unavailable: no answer for 7 s"]
    assert judged(served, Outages(database_s=7.0)) == (([], text) if ready else (text, []))


@pytest.mark.parametrize(("served", "ready"), [(COMMAND, False), (QUERY, True), (SERVE, True)])
def test_refused_appends_stop_only_a_process_that_only_writes_after_ten_seconds(
    served: Served, ready: bool
) -> None:
    def text(seconds: int) -> list[str]:
        return [f"appends are refused for {seconds} s: disk full"]

    assert judged(served, Outages(refused_s=9.0, refusal="disk full")) == ([], text(9))
    late = judged(served, Outages(refused_s=10.0, refusal="disk full"))
    assert late == (([], text(10)) if ready else (text(10), []))


def test_a_process_that_can_serve_neither_reads_nor_writes_is_not_ready() -> None:
    reasons, remarks = judged(SERVE, Outages(5.0, 5.0, 12.0, "no leader"))
    assert (len(reasons), remarks) == (3, [])


def test_a_silent_log_is_a_remark_while_the_policy_is_fresh() -> None:
    for served in (COMMAND, QUERY, SERVE):
        assert judged(served, Outages(log_s=5.0)) == (
            [],
            ["the log is unavailable: no answer for 5 s"],
        )


# --- appends


def test_refusals_are_measured_from_the_first_to_the_last(clock: Clock) -> None:
    refusals = Refusals(clock)
    for _ in range(12):
        refusals.refused("disk full")
        clock.now += 1
    assert (refusals.seconds, refusals.count, refusals.reason) == (11.0, 12, "disk full")
    refusals.accepted()
    assert (refusals.seconds, refusals.reason) == (0.0, "")


def test_an_old_refusal_says_nothing(clock: Clock) -> None:
    """So that a process which gets no more writes is ready again, and gets some."""
    refusals = Refusals(clock)
    refusals.refused("x")
    clock.now += 11
    refusals.refused("x")
    clock.now += EVIDENCE_S
    assert refusals.seconds == 11.0
    clock.now += 1
    assert refusals.seconds == 0.0
    refusals.refused("x")
    assert refusals.seconds == 0.0


def test_an_accepted_question_does_not_excuse_refused_events(clock: Clock) -> None:
    health = AppendHealth(["A", "B"], clock)
    for _ in range(3):
        health.events["A"].refused("maximum bytes exceeded")
        health.questions["A"].accepted()
        health.events["B"].accepted()
        clock.now += 5
    assert (health.refused_s, health.reason) == (10.0, "maximum bytes exceeded")
    assert health.count == 3


# --- work behind the API


def test_rows_stand_still_when_they_do_not_move_with_events_to_project(clock: Clock) -> None:
    stall = Stall(clock)
    for position, behind in ((7, 0), (7, 3), (8, 5)):
        stall.measured(position, behind)
        clock.now += 4
    assert stall.seconds == 4.0
    stall.measured(8, 9)
    clock.now += 4
    assert stall.seconds == 8.0
    assert lag_remarks(9, stall.seconds) == ["rows stand still for 8 s, 9 events behind the log"]
    stall.measured(17, 0)
    assert (stall.seconds, lag_remarks(0, 0.0)) == (0.0, [])


def test_rows_far_behind_are_remarked_although_they_move() -> None:
    assert lag_remarks(1000, 1.0) == []
    assert lag_remarks(1001, 1.0) == ["rows are 1001 events behind the log"]


def test_resources_that_stay_unsettled_without_an_event_are_counted(clock: Clock) -> None:
    unsettled = Unsettled(clock)
    unsettled.measured({ONE: 1, TWO: 2})
    clock.now += 61
    unsettled.measured({ONE: 1, TWO: 3})
    assert unsettled.overdue == 1
    assert overdue_remarks(1) == ["1 resources are unsettled, and had no event for 60 s"]
    unsettled.measured({})
    assert (unsettled.overdue, overdue_remarks(0)) == (0, [])
