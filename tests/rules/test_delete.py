"""What a DELETE may do, and when a deletion is confirmed."""

import pytest

from secaplane.command.rules.commands import ConfirmDeleted, Delete
from secaplane.command.rules.context import SiteRules
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict, NotFound, PreconditionFailed
from secaplane.model.events import ActionRequested, Created, Deleted, DeletionRequested
from secaplane.model.shape import State
from tests.positions import nth
from tests.scenario import IDS, found, given

CREATED = Created(spec={"sizeGB": 1})
GOING = (CREATED, DeletionRequested())
GONE = (*GOING, Deleted())


def test_what_never_was_cannot_be_deleted() -> None:
    given("instance").when(Delete()).then_refused(NotFound)


def test_what_is_gone_cannot_be_deleted_again() -> None:
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


def test_a_second_delete_is_nothing_new() -> None:
    given("instance", *GOING).when(Delete()).then_nothing()


def test_a_removal_that_was_refused_is_tried_again() -> None:
    refused = found(State.ERROR, observed_position=2, reason="Attached")
    given("instance", *GOING, refused).when(Delete()).then(DeletionRequested())
    given("instance", *GOING, refused, DeletionRequested()).when(Delete()).then_nothing()


def test_an_error_from_before_the_delete_does_not_make_a_second_one() -> None:
    given("instance", CREATED, found(State.ERROR, observed_position=1), DeletionRequested()).when(
        Delete()
    ).then_nothing()


def test_a_delete_takes_the_version_last_seen() -> None:
    given("instance", CREATED).when(Delete(expected=1)).then(DeletionRequested())
    given("instance", CREATED).when(Delete(expected=2)).then_refused(PreconditionFailed)
    given("instance", *GOING).when(Delete(expected=1)).then_refused(PreconditionFailed)
    given("instance", *GOING).when(Delete(expected=2)).then_nothing()


def test_a_parent_that_holds_something_stays_and_names_it() -> None:
    inside = [KINDS["block-storage"].ref(IDS, f"d{n}") for n in range(12)]
    refusal = (
        given("workspace", Created(spec={})).holding(inside).when(Delete()).then_refused(Conflict)
    )
    urn = "seca.storage/v1/tenants/acme/workspaces/web/block-storages"
    assert refusal.meta == {"blockers": [f"{urn}/d{n}" for n in range(10)], "count": 12}
    assert refusal.detail == "the resource still contains 12 resources: delete them first"


def test_a_parent_that_is_going_is_not_asked_again_what_it_holds() -> None:
    inside = [KINDS["block-storage"].ref(IDS, "d")]
    given("workspace", Created(spec={}), DeletionRequested()).holding(inside).when(
        Delete()
    ).then_nothing()


# --- in use


DISK = ("block-storage", CREATED)
URN = "seca.compute/v1/tenants/acme/workspaces/web/instances"


def test_what_is_in_use_stays_and_names_who_uses_it() -> None:
    users = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(11)]
    refusal = given(*DISK).used_by(*users).when(Delete()).then_refused(Conflict)
    assert refusal.meta == {"blockers": [f"{URN}/i{n}" for n in range(10)], "count": 11}
    assert (
        refusal.detail
        == "the resource is in use by 11 resources: delete or change the referrers first"
    )
    one = given(*DISK).used_by(users[0]).when(Delete()).then_refused(Conflict)
    assert (
        one.detail == "the resource is in use by one resource: delete or change the referrers first"
    )


def test_only_what_the_caller_may_get_is_named() -> None:
    users = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(3)]
    seen = given(*DISK).used_by(*users).readable(users[1])
    assert seen.when(Delete()).then_refused(Conflict).meta == {
        "blockers": [f"{URN}/i1"],
        "count": 3,
    }


def test_a_parent_that_takes_its_children_along_is_not_blocked_by_them() -> None:
    cascading = SiteRules(cascades=frozenset({("network", "subnet")}))
    subnet, table = (KINDS[kind].ref(IDS, "x") for kind in ("subnet", "routing-table"))
    network = given("network", Created(spec={})).at(cascading)
    network.holding([subnet]).when(Delete()).then(DeletionRequested())
    refusal = network.holding([subnet, table]).when(Delete()).then_refused(Conflict)
    assert refusal.meta == {"blockers": [KINDS["routing-table"].urn(table)], "count": 1}
    nic = KINDS["nic"].ref(IDS, "n")
    held = network.holding([subnet]).used_by(nic).when(Delete()).then_refused(Conflict)
    assert held.meta == {"blockers": [KINDS["nic"].urn(nic)], "count": 1}


@pytest.mark.parametrize("kind", ["role", "instance", "workspace"])
def test_what_is_the_systems_is_not_deleted(kind: str) -> None:
    """Where names can be the system's at all."""
    system = given(kind, Created(spec={})).called("seca.admin").when(Delete())
    if KINDS[kind].exposure.reserved_prefix:
        assert "are reserved" in system.then_refused(Conflict).detail
    else:
        system.then(DeletionRequested())


# --- confirmed by a reconciler


def test_a_deletion_that_was_seen_is_confirmed() -> None:
    given("instance", *GOING).when(ConfirmDeleted(uid="u1", observed_position=nth(2))).then(
        Deleted()
    )


def test_only_what_was_to_go_goes() -> None:
    given("instance", CREATED).when(
        ConfirmDeleted(uid="u1", observed_position=nth(1))
    ).then_nothing()


def test_a_confirmation_that_saw_less_is_nothing() -> None:
    given("instance", *GOING).when(
        ConfirmDeleted(uid="u1", observed_position=nth(1))
    ).then_nothing()


def test_a_confirmation_ends_no_other_life() -> None:
    again = (*GONE, CREATED, DeletionRequested())
    given("instance", *again).when(
        ConfirmDeleted(uid="u1", observed_position=nth(5))
    ).then_nothing()
    given("instance", *again).when(ConfirmDeleted(uid="u2", observed_position=nth(5))).then(
        Deleted()
    )


def test_what_is_gone_or_never_was_needs_no_confirmation() -> None:
    for events in ((), GONE):
        given("instance", *events).when(
            ConfirmDeleted(uid="u1", observed_position=nth(9))
        ).then_nothing()


def test_a_parent_is_not_gone_while_something_lies_in_it() -> None:
    inside = [KINDS["block-storage"].ref(IDS, "late")]
    terminating = given("workspace", Created(spec={}), DeletionRequested())
    confirmation = ConfirmDeleted(uid=terminating.resource.uid, observed_position=nth(2))
    terminating.holding(inside).when(confirmation).then_nothing()
    terminating.holding([]).when(confirmation).then(Deleted())
