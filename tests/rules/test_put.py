"""PUT: accepted, refused, and the event that it records."""

from typing import Any

import pytest
from msgspec import UNSET

from secaplane.command.rules.commands import Put
from secaplane.command.rules.context import SiteRules
from secaplane.model.errors import Conflict, Invalid, NotFound, PreconditionFailed
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    Updated,
)
from secaplane.model.precondition import Precondition
from secaplane.model.shape import Json, State
from tests.scenario import TENANT, WEB, at_version, found, from_catalogue, given, lived

IN_ZONE_A: Json = {"skuRef": {"resource": "skus/s"}, "zone": "a", "bootVolume": {}}
IN_ZONE_B = IN_ZONE_A | {"zone": "b"}
WITH_DATA = IN_ZONE_A | {"userData": "#cloud-config"}
SMALL: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/seca.rd100"}}
LARGE = SMALL | {"sizeGB": 20}

LIVING_WEB = lived(WEB, {}, found(State.ACTIVE, observed_position=1))
TERMINATING_WEB = given("workspace", Created(spec={}), DeletionRequested()).resource
GONE_WEB = given("workspace", Created(spec={}), DeletionRequested(), Deleted()).resource


def an_instance(*events: AnyEvent) -> given:
    return given("instance", *events).with_targets(from_catalogue("instance-sku", "s"))


def a_volume(*events: AnyEvent) -> given:
    skus = (from_catalogue("storage-sku", name) for name in ("seca.rd100", "other"))
    return given("block-storage", *events).with_targets(*skus)


def test_the_first_put_creates() -> None:
    an_instance().when(Put(spec=IN_ZONE_A)).then(Created(spec=IN_ZONE_A))


def test_a_repeated_put_is_recorded_again() -> None:
    an_instance(Created(spec=IN_ZONE_A)).when(Put(spec=IN_ZONE_A)).then(Updated(spec=IN_ZONE_A))


def test_a_put_replaces_the_whole_desired_state() -> None:
    labelled = Created(spec=IN_ZONE_A, labels={"env": "prod"}, annotations={"a": "b"})
    an_instance(labelled).when(Put(spec=WITH_DATA)).then(Updated(spec=WITH_DATA))
    after = an_instance(labelled, Updated(spec=WITH_DATA)).resource
    assert (after.spec, after.labels, after.annotations) == (WITH_DATA, UNSET, UNSET)


def test_an_event_holds_every_part_of_the_put() -> None:
    parts: dict[str, Any] = {
        "labels": {"env": "prod"},
        "annotations": {"note": ""},
        "extensions": {"x": "y"},
    }
    an_instance().when(Put(spec=IN_ZONE_A, **parts)).then(Created(spec=IN_ZONE_A, **parts))


def test_an_instance_cannot_move_to_another_zone() -> None:
    refusal = an_instance(Created(spec=IN_ZONE_A)).when(Put(spec=IN_ZONE_B)).then_refused(Invalid)
    assert [source.pointer for source in refusal.sources] == ["/spec/zone"]


def test_every_rule_that_a_put_breaks_is_named() -> None:
    shrunk_elsewhere = {"sizeGB": 5, "skuRef": {"resource": "skus/other"}}
    refusal = a_volume(Created(spec=SMALL)).when(Put(spec=shrunk_elsewhere)).then_refused(Invalid)
    assert [source.pointer for source in refusal.sources] == ["/spec/skuRef", "/spec/sizeGB"]


def test_a_volume_grows_and_stays_but_never_shrinks() -> None:
    a_volume(Created(spec=SMALL)).when(Put(spec=LARGE)).then(Updated(spec=LARGE))
    a_volume(Created(spec=LARGE)).when(Put(spec=LARGE)).then(Updated(spec=LARGE))
    a_volume(Created(spec=LARGE)).when(Put(spec=SMALL)).then_refused(Invalid)


def test_a_deleted_volume_can_be_created_again_smaller() -> None:
    a_volume(Created(spec=LARGE), DeletionRequested(), Deleted()).when(Put(spec=SMALL)).then(
        Created(spec=SMALL)
    )


# --- the caller's precondition


def test_a_put_with_the_current_version_is_accepted() -> None:
    an_instance(Created(spec=IN_ZONE_A), Updated(spec=IN_ZONE_A)).when(
        Put(spec=WITH_DATA, precondition=at_version(2))
    ).then(Updated(spec=WITH_DATA))


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_a_put_with_another_version_is_refused(expected: int) -> None:
    refusal = (
        an_instance(Created(spec=IN_ZONE_A), Updated(spec=IN_ZONE_A))
        .when(Put(spec=WITH_DATA, precondition=at_version(expected)))
        .then_refused(PreconditionFailed)
    )
    assert [source.parameter for source in refusal.sources] == ["if-unmodified-since"]


def test_a_report_does_not_move_the_version() -> None:
    given(
        "instance",
        Created(spec=IN_ZONE_A),
        found(State.CREATING, observed_position=1),
        found(State.ACTIVE, observed_position=2),
    ).when(Put(spec=WITH_DATA, precondition=at_version(1))).then(Updated(spec=WITH_DATA))


def test_version_zero_requires_that_the_resource_does_not_exist() -> None:
    an_instance().when(Put(spec=IN_ZONE_A, precondition=at_version(0))).then(
        Created(spec=IN_ZONE_A)
    )


def test_an_absent_resource_has_no_version() -> None:
    an_instance().when(Put(spec=IN_ZONE_A, precondition=at_version(1))).then_refused(
        PreconditionFailed
    )


GONE = (Created(spec=IN_ZONE_A), DeletionRequested(), Deleted())


def test_a_deleted_resource_does_not_exist() -> None:
    an_instance(*GONE).when(Put(spec=IN_ZONE_B)).then(Created(spec=IN_ZONE_B))
    an_instance(*GONE).when(Put(spec=IN_ZONE_B, precondition=at_version(0))).then(
        Created(spec=IN_ZONE_B)
    )


def test_an_old_version_never_matches_a_new_life() -> None:
    an_instance(*GONE).when(Put(spec=IN_ZONE_A, precondition=at_version(2))).then_refused(
        PreconditionFailed
    )
    an_instance(*GONE, Created(spec=IN_ZONE_A)).when(
        Put(spec=IN_ZONE_A, precondition=at_version(1))
    ).then_refused(PreconditionFailed)


# --- its own state, and that of its parents


def test_a_resource_that_is_being_deleted_cannot_change() -> None:
    an_instance(Created(spec=IN_ZONE_A), DeletionRequested()).when(
        Put(spec=WITH_DATA)
    ).then_refused(Conflict)


def test_a_resource_whose_removal_failed_cannot_change() -> None:
    given(
        "instance",
        Created(spec=IN_ZONE_A),
        DeletionRequested(),
        found(State.ERROR, observed_position=2),
    ).when(Put(spec=WITH_DATA)).then_refused(Conflict)


@pytest.mark.parametrize("state", [each for each in State if each is not State.DELETING])
def test_a_put_is_accepted_in_every_other_state(state: State) -> None:
    an_instance(Created(spec=IN_ZONE_A), found(state, observed_position=1)).when(
        Put(spec=WITH_DATA)
    ).then(Updated(spec=WITH_DATA))


def test_a_put_is_accepted_in_every_power_state() -> None:
    an_instance(Created(spec=IN_ZONE_A), ActionRequested(action="start")).when(
        Put(spec=WITH_DATA)
    ).then(Updated(spec=WITH_DATA))


def test_a_missing_parent_is_not_found() -> None:
    refusal = an_instance().under({WEB: None}).when(Put(spec=IN_ZONE_A)).then_refused(NotFound)
    assert refusal.detail == "workspace web not found: create it first"


def test_a_parent_that_is_being_deleted_accepts_no_new_child() -> None:
    for parent in (TERMINATING_WEB, GONE_WEB):
        an_instance().under({WEB: parent}).when(Put(spec=IN_ZONE_A)).then_refused(Conflict)


def test_an_existing_child_may_change_while_its_parent_is_being_deleted() -> None:
    an_instance(Created(spec=IN_ZONE_A)).under({WEB: TERMINATING_WEB}).when(
        Put(spec=WITH_DATA)
    ).then(Updated(spec=WITH_DATA))


def test_an_existing_child_cannot_change_while_a_parent_that_cascades_is_being_deleted() -> None:
    """The deletion of the parent deletes the child, so a change would be lost."""
    cascading = SiteRules(cascades=frozenset({("workspace", "instance")}))
    other = SiteRules(cascades=frozenset({("workspace", "block-storage")}))
    child = an_instance(Created(spec=IN_ZONE_A)).under({WEB: TERMINATING_WEB})
    refusal = child.at(cascading).when(Put(spec=WITH_DATA)).then_refused(Conflict)
    assert refusal.detail == "workspace web is being deleted: it accepts no resources"
    child.at(other).when(Put(spec=WITH_DATA)).then(Updated(spec=WITH_DATA))
    living = an_instance(Created(spec=IN_ZONE_A)).under({WEB: LIVING_WEB})
    living.at(cascading).when(Put(spec=WITH_DATA)).then(Updated(spec=WITH_DATA))


def test_a_parent_need_not_be_active_yet() -> None:
    pending_web, tenant = lived(WEB, {}), lived(TENANT, {})
    an_instance().under({TENANT: tenant, WEB: pending_web}).when(Put(spec=IN_ZONE_A)).then(
        Created(spec=IN_ZONE_A)
    )
    an_instance().under({TENANT: tenant, WEB: LIVING_WEB}).when(Put(spec=IN_ZONE_A)).then(
        Created(spec=IN_ZONE_A)
    )


# --- the order of checks: within the spec, being deleted, precondition, rules that compare, state


def test_a_failed_precondition_is_refused_before_a_rule_that_compares() -> None:
    moved = an_instance(Created(spec=IN_ZONE_A)).when(
        Put(spec=IN_ZONE_B, precondition=at_version(7))
    )
    moved.then_refused(PreconditionFailed)
    moved.when(Put(spec=IN_ZONE_B, precondition=at_version(1))).then_refused(Invalid)


@pytest.mark.parametrize("expected", [None, 1, 7])
@pytest.mark.parametrize("spec", [SMALL, LARGE, SMALL | {"sizeGB": 5}, SMALL | {"skuRef": {}}])
def test_what_is_being_deleted_is_refused_for_that_and_not_by_rules_of_its_old_life(
    spec: Json, expected: int | None
) -> None:
    """A client that replaces a resource tries again after a conflict, and after nothing else."""
    terminating = a_volume(Created(spec=LARGE), DeletionRequested())
    refusal = terminating.when(
        Put(spec=spec, precondition=Precondition(version=expected))
    ).then_refused(Conflict)
    assert "being deleted" in refusal.detail


def test_below_what_is_being_deleted_no_rule_is_compared() -> None:
    below = an_instance().under({WEB: TERMINATING_WEB}).in_zones("b")
    assert "web is being deleted" in below.when(Put(spec=IN_ZONE_A)).then_refused(Conflict).detail


def test_a_spec_that_contradicts_itself_is_refused_first() -> None:
    spec = {"version": "IPv4", "address": "fd00::1"}
    terminating = given("public-ip", Created(spec={"version": "IPv4"}), DeletionRequested())
    terminating.when(Put(spec=spec, precondition=at_version(7))).then_refused(Invalid)


@pytest.mark.parametrize("provider", ["seca.compute", "seca.compute/v1", "seca.kubernetes/v1beta1"])
def test_a_role_may_name_providers_of_the_standard(provider: str) -> None:
    spec = {"permissions": [{"provider": provider, "resources": ["*"], "verb": ["get"]}]}
    given("role").when(Put(spec=spec)).then(Created(spec=spec))


@pytest.mark.parametrize("provider", ["*", "seca.nope/v1", "seca.storage/v9", "secaplane.admin/v1"])
def test_a_role_may_name_no_other_provider(provider: str) -> None:
    spec = {"permissions": [{"provider": provider, "resources": ["*"], "verb": ["get\n"]}]}
    refusal = given("role").when(Put(spec=spec)).then_refused(Invalid)
    assert [source.pointer for source in refusal.sources] == [
        "/spec/permissions/0/provider",
        "/spec/permissions/0/verb/0",
    ]
