"""State and conditions of a resource, as `evolve` derives them from events (docs/reference/api.md
conditions, power)."""

import pytest
from msgspec import UNSET

from secaplane.kinds import KINDS
from secaplane.model.closing import CONDITIONS_MAX
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    Updated,
)
from secaplane.model.shape import Condition, Moment, Resource, State
from tests.positions import nth
from tests.scenario import at, condition_texts, found, given

CREATED, PUT = Created(spec={}), Updated(spec={})
TURNING_OFF = "powerState turningOff updating"
START, STOP, RESTART = (ActionRequested(action=each) for each in ("start", "stop", "restart"))
ACTIVE_AFTER_CREATE = found(State.ACTIVE, observed_position=1)
BEGUN = ["active", "creating", "pending"]
WRITABLE = [kind.name for kind in KINDS.values() if kind.writable]


@pytest.mark.parametrize("kind", WRITABLE)
def test_every_kind_goes_from_pending_through_creating_to_active(kind: str) -> None:
    assert condition_texts(given(kind, CREATED).resource) == ["pending"]
    resource = given(kind, CREATED, ACTIVE_AFTER_CREATE).resource
    assert (resource.state, condition_texts(resource)) == (State.ACTIVE, BEGUN)


def test_a_slow_resource_goes_through_the_same_states() -> None:
    creating = found(State.CREATING, observed_position=1)
    assert condition_texts(given("instance", CREATED, creating).resource) == ["creating", "pending"]
    slow = given("instance", CREATED, creating, found(State.ACTIVE, observed_position=2)).resource
    assert condition_texts(slow) == BEGUN


def test_a_fast_resource_gets_both_conditions_at_the_same_time() -> None:
    resource = given("instance", CREATED, ACTIVE_AFTER_CREATE).resource
    assert resource.conditions == (
        Condition(state=State.ACTIVE, last_transition_at=at(2)),
        Condition(state=State.CREATING, last_transition_at=at(2)),
        Condition(state=State.PENDING, last_transition_at=at(1)),
    )


@pytest.mark.parametrize("kind", WRITABLE)
def test_each_put_adds_updating_and_then_active(kind: str) -> None:
    updated = (CREATED, ACTIVE_AFTER_CREATE, PUT)
    assert condition_texts(given(kind, *updated).resource) == ["updating", *BEGUN]
    assert given(kind, *updated).resource.state is State.UPDATING
    settled = (*updated, found(State.ACTIVE, observed_position=3))
    assert condition_texts(given(kind, *settled).resource) == ["active", "updating", *BEGUN]


def test_equal_adjacent_conditions_are_not_merged() -> None:
    resource = given(
        "instance", CREATED, ACTIVE_AFTER_CREATE, PUT, PUT, found(State.ACTIVE, observed_position=4)
    ).resource
    assert condition_texts(resource) == ["active", "updating", "updating", *BEGUN]


def test_only_the_newest_conditions_are_kept() -> None:
    updates = [PUT] * (CONDITIONS_MAX + 3)
    resource = given(
        "instance", CREATED, *updates, found(State.ERROR, observed_position=36)
    ).resource
    assert condition_texts(resource) == ["error", *["updating"] * (CONDITIONS_MAX - 1)]


# --- reports


def test_a_report_older_than_the_last_intent_leaves_state_and_conditions() -> None:
    resource = given(
        "instance",
        CREATED,
        ACTIVE_AFTER_CREATE,
        PUT,
        found(State.ACTIVE, observed_position=2, powerState="on"),
    ).resource
    assert condition_texts(resource) == ["updating", *BEGUN]
    assert (resource.state, resource.observed, resource.observed_position) == (
        State.UPDATING,
        {"powerState": "on"},
        nth(2),
    )
    assert resource.unsettled


def test_an_older_report_does_not_move_the_observed_position_back() -> None:
    late = found(State.ACTIVE, observed_position=1, powerState="on")
    resource = given(
        "instance", CREATED, PUT, found(State.ACTIVE, observed_position=2), late
    ).resource
    assert (resource.observed_position, resource.state, resource.unsettled) == (
        nth(2),
        State.ACTIVE,
        False,
    )


def test_a_report_without_a_transition_adds_no_condition() -> None:
    address = found(State.ACTIVE, observed_position=2, powerState="on")
    resource = given("instance", CREATED, ACTIVE_AFTER_CREATE, address).resource
    assert condition_texts(resource) == BEGUN
    assert resource.conditions[0].last_transition_at == at(2)


def test_a_report_moves_neither_version_nor_modification() -> None:
    resource = given("instance", CREATED, PUT, found(State.ACTIVE, observed_position=2)).resource
    assert (resource.version, resource.modified_at, resource.time) == (2, at(2), at(3))


def test_waiting_explains_the_newest_condition_and_adds_none() -> None:
    waiting = found(State.PENDING, observed_position=1, reason="WaitingForWorkspace")
    resource = given("instance", CREATED, waiting).resource
    assert resource.conditions == (
        Condition(
            state=State.PENDING,
            last_transition_at=at(1),
            reason="WaitingForWorkspace",
            message=UNSET,
        ),
    )
    settled = given("instance", CREATED, waiting, found(State.ACTIVE, observed_position=2)).resource
    assert condition_texts(settled) == ["active", "creating", "WaitingForWorkspace pending"]


def test_an_error_has_the_reason_and_the_next_put_tries_again() -> None:
    refused = found(State.ERROR, observed_position=1, reason="NoSpace")
    failed = given("instance", CREATED, refused).resource
    assert condition_texts(failed) == ["NoSpace error", "creating", "pending"]
    assert not failed.unsettled
    tried = given("instance", CREATED, refused, PUT).resource
    assert tried.unsettled
    assert condition_texts(tried) == ["updating", "NoSpace error", "creating", "pending"]


def test_a_history_starts_with_created() -> None:
    with pytest.raises(AssertionError, match="Updated before Created"):
        given("instance", PUT)


# --- power


ON = (
    CREATED,
    ACTIVE_AFTER_CREATE,
    START,
    found(State.ACTIVE, observed_position=3, powerState="on"),
)
STARTED = ["powerState turnedOn active", "powerState turningOn updating", *BEGUN]


def test_a_start_adds_exactly_two_conditions() -> None:
    requested = given("instance", *ON[:3]).resource
    assert condition_texts(requested) == ["powerState turningOn updating", *BEGUN]
    assert requested.power.since is None
    done = given("instance", *ON).resource
    assert condition_texts(done) == STARTED
    assert (done.power.desired, done.power.since) == ("on", at(4))


def test_a_stop_adds_exactly_two_conditions() -> None:
    off = found(State.ACTIVE, observed_position=5, powerState="off")
    resource = given("instance", *ON, STOP, off).resource
    words = ["powerState turnedOff active", "powerState turningOff updating"]
    assert condition_texts(resource) == [*words, *STARTED]


def test_a_restart_adds_exactly_two_conditions() -> None:
    resource = given("instance", *ON, RESTART, found(State.ACTIVE, observed_position=5)).resource
    words = ["powerState turnedOn active", "powerState turningOff updating"]
    assert condition_texts(resource) == [*words, *STARTED]
    assert resource.power.since == at(6)


def test_restarts_that_wait_are_done_as_one_and_have_two_conditions_each() -> None:
    """Each accepted restart is an intent: a version, and both of its conditions."""
    on = given("instance", *ON).resource
    resource = given("instance", *ON, RESTART, RESTART, RESTART).resource
    assert resource.version == on.version + 3
    done = given(
        "instance", *ON, RESTART, RESTART, PUT, RESTART, found(State.ACTIVE, observed_position=8)
    )
    words = ["powerState turnedOn active"] * 3
    words += [TURNING_OFF, "updating", TURNING_OFF, TURNING_OFF]
    assert condition_texts(done.resource) == [*words, *STARTED]
    assert done.resource.power.completed == nth(8)


def test_a_stop_and_a_start_before_a_restart_are_no_restarts() -> None:
    """Superseded actions were not carried out, and claim no conditions."""
    done = given(
        "instance", *ON, STOP, START, RESTART, found(State.ACTIVE, observed_position=7)
    ).resource
    assert condition_texts(done) == [
        "powerState turnedOn active",
        TURNING_OFF,
        "powerState turningOn updating",
        TURNING_OFF,
        *STARTED,
    ]


def test_a_put_after_an_action_adds_plain_conditions() -> None:
    resource = given("instance", *ON, PUT, found(State.ACTIVE, observed_position=5)).resource
    assert condition_texts(resource) == ["active", "updating", *STARTED]
    assert resource.power.since == at(4)


def test_a_failed_action_reports_the_error_and_no_power_change() -> None:
    refused = found(State.ERROR, observed_position=3, reason="NoCapacity")
    resource = given("instance", *ON[:3], refused).resource
    assert condition_texts(resource) == [
        "NoCapacity error",
        "powerState turningOn updating",
        *BEGUN,
    ]
    assert resource.power.since is None
    assert not resource.unsettled


def test_an_action_is_pending_until_a_settled_report_has_observed_it() -> None:
    early, late = found(State.ACTIVE, observed_position=2), found(State.ACTIVE, observed_position=3)
    pending = given("instance", CREATED, ACTIVE_AFTER_CREATE, START, early).resource.power
    completed = given("instance", CREATED, ACTIVE_AFTER_CREATE, START, late).resource.power
    assert (pending.requested, pending.completed) == (nth(3), nth(0))
    assert (completed.requested, completed.completed) == (nth(3), nth(3))


# --- deletion, and a new life of the name


def test_a_deletion_adds_deleting_and_sets_its_time() -> None:
    resource = given("instance", CREATED, ACTIVE_AFTER_CREATE, DeletionRequested()).resource
    assert condition_texts(resource) == ["deleting", *BEGUN]
    assert (resource.state, resource.deleted_at, resource.version) == (State.DELETING, at(3), 2)


def test_only_an_error_changes_a_terminating_resource() -> None:
    terminating: tuple[AnyEvent, ...] = (CREATED, ACTIVE_AFTER_CREATE, DeletionRequested())
    assert (
        condition_texts(
            given("instance", *terminating, found(State.ACTIVE, observed_position=3)).resource
        )[0]
        == "deleting"
    )
    refused = given(
        "instance", *terminating, found(State.ERROR, observed_position=3, reason="Attached")
    ).resource
    assert condition_texts(refused) == ["Attached error", "deleting", *BEGUN]


def test_a_second_deletion_keeps_the_time_of_the_first() -> None:
    refused = found(State.ERROR, observed_position=2)
    resource = given(
        "instance", CREATED, DeletionRequested(), refused, DeletionRequested()
    ).resource
    assert condition_texts(resource) == ["deleting", "error", "deleting", "pending"]
    assert (resource.deleted_at, resource.version, resource.unsettled) == (at(2), 3, True)


def test_a_gone_resource_is_settled_and_keeps_its_conditions() -> None:
    resource = given("instance", CREATED, DeletionRequested(), Deleted()).resource
    assert (resource.gone, resource.unsettled, resource.version) == (True, False, 2)
    assert condition_texts(resource) == ["deleting", "pending"]


def test_a_reused_name_starts_a_new_life_and_its_version_goes_on() -> None:
    gone = (*ON, DeletionRequested(), Deleted())
    former = given("instance", *gone).resource
    reborn = given("instance", *gone, Created(spec={"zone": "b"}, labels={"a": "b"})).resource
    assert (former.uid, former.version) == ("u1", 3)
    assert reborn == Resource(
        ref=former.ref,
        uid="u2",
        former_end=Moment(former.position, former.time),
        spec={"zone": "b"},
        labels={"a": "b"},
        conditions=(Condition(state=State.PENDING, last_transition_at=at(7)),),
        version=4,
        position=nth(7),
        time=at(7),
        events=7,
        life=nth(7),
        created_at=at(7),
        modified_at=at(7),
        last_intent=nth(7),
    )
