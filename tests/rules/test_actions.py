"""Start, stop and restart depend on the desired power state, not on the observed one."""

import pytest

from secaplane.command.rules.commands import Act
from secaplane.model.errors import Conflict, NotFound, PreconditionFailed
from secaplane.model.events import ActionRequested, Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Json, State
from tests.scenario import at_version, found, given

SPEC: Json = {"skuRef": {"resource": "skus/s"}, "zone": "a"}
CREATED = Created(spec=SPEC)
START, STOP, RESTART = (ActionRequested(action=each) for each in ("start", "stop", "restart"))


def test_a_new_instance_is_off_and_can_be_started() -> None:
    given("instance", CREATED).when(Act(action="start")).then(START)


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_an_instance_that_is_off_can_be_neither_stopped_nor_restarted(action: str) -> None:
    given("instance", CREATED).when(Act(action=action)).then_refused(Conflict)
    given("instance", CREATED, START, STOP).when(Act(action=action)).then_refused(Conflict)


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_an_instance_that_is_on_can_be_stopped_and_restarted(action: str) -> None:
    given("instance", CREATED, START).when(Act(action=action)).then(ActionRequested(action=action))
    given("instance", CREATED, START, RESTART).when(Act(action=action)).then(
        ActionRequested(action=action)
    )


def test_an_instance_whose_desired_power_is_on_cannot_be_started_again() -> None:
    refusal = given("instance", CREATED, START).when(Act(action="start")).then_refused(Conflict)
    assert refusal.detail == "start needs the desired power state off; it is on"


def test_the_desired_power_counts_and_not_the_observed_one() -> None:
    on = found(State.ACTIVE, observed_position=2, powerState="on")
    given("instance", CREATED, START, on, STOP).when(Act(action="stop")).then_refused(Conflict)
    given("instance", CREATED, START, on, STOP).when(Act(action="start")).then(START)


def test_a_put_keeps_the_desired_power() -> None:
    given("instance", CREATED, START, Updated(spec=SPEC)).when(Act(action="stop")).then(STOP)


def test_an_absent_or_deleted_resource_accepts_no_action() -> None:
    given("instance").when(Act(action="start")).then_refused(NotFound)
    given("instance", CREATED, DeletionRequested(), Deleted()).when(
        Act(action="start")
    ).then_refused(NotFound)


def test_a_resource_that_is_being_deleted_accepts_no_action() -> None:
    given("instance", CREATED, DeletionRequested()).when(Act(action="start")).then_refused(Conflict)


def test_a_new_life_is_off() -> None:
    given("instance", CREATED, START, DeletionRequested(), Deleted(), CREATED).when(
        Act(action="start")
    ).then(START)


def test_an_action_accepts_only_the_current_version() -> None:
    given("instance", CREATED).when(Act(action="start", precondition=at_version(1))).then(START)
    given("instance", CREATED, START).when(
        Act(action="stop", precondition=at_version(1))
    ).then_refused(PreconditionFailed)


@pytest.mark.parametrize("state", [State.CREATING, State.ACTIVE, State.UPDATING, State.ERROR])
def test_an_action_is_accepted_in_every_state_but_deleting(state: State) -> None:
    given("instance", CREATED, found(state, observed_position=1)).when(Act(action="start")).then(
        START
    )
