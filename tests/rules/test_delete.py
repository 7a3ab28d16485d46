"""DELETE: accepted, refused, and confirmed by a reconciler."""

import pytest

from secaplane.command.rules.commands import ConfirmDeleted, Delete
from secaplane.command.rules.context import SiteRules
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict, NotFound, PreconditionFailed
from secaplane.model.events import ActionRequested, Created, Deleted, DeletionRequested
from secaplane.model.shape import State
from tests.positions import nth
from tests.scenario import IDS, at_version, found, given

CREATED = Created(spec={"sizeGB": 1})
TERMINATING = (CREATED, DeletionRequested())
GONE = (*TERMINATING, Deleted())


def test_an_absent_resource_cannot_be_deleted() -> None:
    given("instance").when(Delete()).then_refused(NotFound)


def test_a_deleted_resource_cannot_be_deleted_again() -> None:
    given("instance", *GONE).when(Delete()).then_refused(NotFound)


@pytest.mark.parametrize("state", [each for each in State if each is not State.DELETING])
def test_a_delete_is_accepted_in_every_state(state: State) -> None:
    given("instance", CREATED, found(state, observed_position=1)).when(Delete()).then(
        DeletionRequested()
    )


def test_a_delete_is_accepted_with_the_power_on() -> None:
    on = found(State.ACTIVE, observed_position=2, powerState="on")
    given("instance", CREATED, ActionRequested(action="start"), on).when(Delete()).then(
        DeletionRequested()
    )


def test_a_second_delete_records_nothing() -> None:
    given("instance", *TERMINATING).when(Delete()).then_nothing()


def test_a_removal_that_failed_is_tried_again() -> None:
    refused = found(State.ERROR, observed_position=2, reason="Attached")
    given("instance", *TERMINATING, refused).when(Delete()).then(DeletionRequested())
    given("instance", *TERMINATING, refused, DeletionRequested()).when(Delete()).then_nothing()


def test_an_error_from_before_the_delete_does_not_make_a_second_one() -> None:
    given("instance", CREATED, found(State.ERROR, observed_position=1), DeletionRequested()).when(
        Delete()
    ).then_nothing()


def test_a_delete_accepts_only_the_current_version() -> None:
    given("instance", CREATED).when(Delete(precondition=at_version(1))).then(DeletionRequested())
    given("instance", CREATED).when(Delete(precondition=at_version(2))).then_refused(
        PreconditionFailed
    )
    given("instance", *TERMINATING).when(Delete(precondition=at_version(1))).then_refused(
        PreconditionFailed
    )
    given("instance", *TERMINATING).when(Delete(precondition=at_version(2))).then_nothing()


def test_a_parent_with_children_stays_and_the_refusal_names_them() -> None:
    children = [KINDS["block-storage"].ref(IDS, f"d{n}") for n in range(12)]
    refusal = (
        given("workspace", Created(spec={}))
        .containing(children)
        .when(Delete())
        .then_refused(Conflict)
    )
    urn = "seca.storage/v1/tenants/acme/workspaces/web/block-storages"
    assert refusal.meta == {"blockers": [f"{urn}/d{n}" for n in range(10)], "count": 12}
    assert refusal.detail == "the resource still contains 12 resources: delete them first"


def test_a_second_delete_does_not_check_the_children() -> None:
    children = [KINDS["block-storage"].ref(IDS, "d")]
    given("workspace", Created(spec={}), DeletionRequested()).containing(children).when(
        Delete()
    ).then_nothing()


# --- in use


DISK = ("block-storage", CREATED)
URN = "seca.compute/v1/tenants/acme/workspaces/web/instances"


def test_a_resource_in_use_stays_and_the_refusal_names_the_referrers() -> None:
    referrers = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(11)]
    refusal = given(*DISK).referred_to_by(*referrers).when(Delete()).then_refused(Conflict)
    assert refusal.meta == {"blockers": [f"{URN}/i{n}" for n in range(10)], "count": 11}
    assert (
        refusal.detail
        == "the resource is in use by 11 resources: delete or change the referrers first"
    )
    one = given(*DISK).referred_to_by(referrers[0]).when(Delete()).then_refused(Conflict)
    assert (
        one.detail == "the resource is in use by one resource: delete or change the referrers first"
    )


def test_a_refusal_names_only_blockers_that_the_caller_may_get() -> None:
    referrers = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(3)]
    seen = given(*DISK).referred_to_by(*referrers).readable(referrers[1])
    assert seen.when(Delete()).then_refused(Conflict).meta == {
        "blockers": [f"{URN}/i1"],
        "count": 3,
    }


def test_a_parent_that_cascades_is_not_blocked_by_its_children() -> None:
    cascading = SiteRules(cascades=frozenset({("network", "subnet")}))
    subnet, table = (KINDS[kind].ref(IDS, "x") for kind in ("subnet", "routing-table"))
    network = given("network", Created(spec={})).at(cascading)
    network.containing([subnet]).when(Delete()).then(DeletionRequested())
    refusal = network.containing([subnet, table]).when(Delete()).then_refused(Conflict)
    assert refusal.meta == {"blockers": [KINDS["routing-table"].urn(table)], "count": 1}
    nic = KINDS["nic"].ref(IDS, "n")
    blocked = network.containing([subnet]).referred_to_by(nic).when(Delete()).then_refused(Conflict)
    assert blocked.meta == {"blockers": [KINDS["nic"].urn(nic)], "count": 1}


@pytest.mark.parametrize("kind", ["role", "instance", "workspace"])
def test_a_builtin_resource_is_not_deleted(kind: str) -> None:
    """Only some kinds have reserved names."""
    system = given(kind, Created(spec={})).named("seca.admin").when(Delete())
    if KINDS[kind].exposure.reserved_prefixes:
        assert "are reserved" in system.then_refused(Conflict).detail
    else:
        system.then(DeletionRequested())


# --- confirmed by a reconciler


def test_an_observed_deletion_is_confirmed() -> None:
    given("instance", *TERMINATING).when(ConfirmDeleted(uid="u1", observed_position=nth(2))).then(
        Deleted()
    )


def test_only_a_requested_deletion_is_confirmed() -> None:
    given("instance", CREATED).when(
        ConfirmDeleted(uid="u1", observed_position=nth(1))
    ).then_nothing()


def test_a_confirmation_of_an_older_position_records_nothing() -> None:
    given("instance", *TERMINATING).when(
        ConfirmDeleted(uid="u1", observed_position=nth(1))
    ).then_nothing()


def test_a_confirmation_ends_only_the_life_it_names() -> None:
    again = (*GONE, CREATED, DeletionRequested())
    given("instance", *again).when(
        ConfirmDeleted(uid="u1", observed_position=nth(5))
    ).then_nothing()
    given("instance", *again).when(ConfirmDeleted(uid="u2", observed_position=nth(5))).then(
        Deleted()
    )


def test_an_absent_or_deleted_resource_needs_no_confirmation() -> None:
    for events in ((), GONE):
        given("instance", *events).when(
            ConfirmDeleted(uid="u1", observed_position=nth(9))
        ).then_nothing()


def test_the_deletion_of_a_parent_with_a_child_is_not_confirmed() -> None:
    children = [KINDS["block-storage"].ref(IDS, "late")]
    terminating = given("workspace", Created(spec={}), DeletionRequested())
    confirmation = ConfirmDeleted(uid=terminating.resource.uid, observed_position=nth(2))
    terminating.containing(children).when(confirmation).then_nothing()
    terminating.containing([]).when(confirmation).then(Deleted())
