"""Health: reasons where nothing can be served, remarks with numbers for the rest."""

import msgspec
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
from secaplane.eventlog.capacity import AccountCapacity, StreamCapacity, capacity_of
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


def test_the_first_refusal_of_a_new_attempt_stops_a_process_again_at_once(clock: Clock) -> None:
    """A caller who writes every 40 seconds is refused for ever, and the process says so."""
    refusals = Refusals(clock)
    for n in range(5):
        refusals.refused("no answer")
        assert refusals.seconds == n * 40.0
        clock.now += EVIDENCE_S + 1
        assert (refusals.seconds, refusals.age_s) == (0.0, EVIDENCE_S + 1)
        clock.now += 9
    refusals.accepted()
    assert (refusals.seconds, refusals.age_s, refusals.reason) == (0.0, 0.0, "")


def test_refused_events_are_remarked_until_one_is_accepted() -> None:
    for served in (COMMAND, SERVE):
        assert judged(served, Outages(refusal="no answer", unproven_s=300.0)) == (
            [],
            ["the last append was refused 300 s ago, and none was accepted since: no answer"],
        )


def test_an_accepted_question_does_not_excuse_refused_events(clock: Clock) -> None:
    health = AppendHealth(["A", "B"], clock)
    for _ in range(3):
        health.events["A"].refused("maximum bytes exceeded")
        health.questions["A"].accepted()
        health.events["B"].accepted()
        clock.now += 5
    assert (health.refused_s, health.reason) == (10.0, "maximum bytes exceeded")
    assert health.count == 3


def test_the_end_of_what_a_probe_saw_ends_the_refusals_of_events(clock: Clock) -> None:
    health = AppendHealth(["A"], clock)
    for _ in range(12):
        health.events["A"].refused("insufficient resources")
        health.probed(health.questions["A"], "")
        health.probed(health.storage, "insufficient resources")
        clock.now += 1
    assert (health.refused_s, health.reason) == (11.0, "insufficient resources")
    health.probed(health.questions["A"], "")
    assert health.refused_s == 11.0
    health.probed(health.storage, "")
    assert (health.refused_s, health.unproven_s, health.reason) == (0.0, 0.0, "")
    assert health.count == 12


def test_probes_are_refused_although_no_event_is_appended(clock: Clock) -> None:
    health = AppendHealth(["A"], clock)
    for _ in range(12):
        health.probed(health.limits, "the stream A holds 999 of 1000 bytes")
        clock.now += 1
    assert (health.refused_s, health.count) == (11.0, 0)
    assert health.reason == "the stream A holds 999 of 1000 bytes"


# --- limits of the log


def stream(**config: object) -> StreamCapacity:
    known = {"config": config, "state": {"bytes": 950_000, "messages": 70}}
    return msgspec.convert(known, StreamCapacity)


NO_LIMIT = AccountCapacity()


def test_a_log_without_limits_is_never_full() -> None:
    found = capacity_of({"A": stream(), "B": stream(max_bytes=-1)}, NO_LIMIT)
    assert (found.usages, found.full_reason, found.remarks) == ([], "", [])


def test_limits_are_remarked_in_numbers_before_they_are_reached() -> None:
    found = capacity_of({"A": stream(max_bytes=1_000_000, discard="new")}, NO_LIMIT)
    assert found.full_reason == ""
    assert found.remarks == ["the stream A holds 950000 of 1000000 bytes"]
    found = capacity_of({"A": stream(max_msgs=70, discard="new")}, NO_LIMIT)
    assert found.full_reason == "the stream A holds 70 of 70 messages"
    tier = {"storage": 99, "limits": {"max_storage": 100}}
    account = msgspec.convert({"storage": 5, "tiers": {"R3": tier}}, AccountCapacity)
    found = capacity_of({"A": stream(max_bytes=2_000_000, discard="new")}, account)
    assert found.full_reason == "tier R3 at NATS holds 99 of 100 bytes"


@pytest.mark.parametrize(
    "config",
    [{"max_bytes": 9_000_000}, {"max_msgs": 900}, {"max_age": 5}, {"max_msgs_per_subject": 3}],
)
def test_limits_that_remove_events_are_remarked(config: dict[str, int]) -> None:
    found = capacity_of({"A": stream(**config)}, NO_LIMIT)
    assert found.remarks == [
        "the stream A has limits that remove its oldest events: take them away"
    ]


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
