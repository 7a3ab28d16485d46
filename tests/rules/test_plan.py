"""The next step for one resource."""

import pytest

from secaplane.command.rules.commands import Delete, ReportStatus, Violation
from secaplane.kinds import KINDS
from secaplane.model.errors import BrokenRule, Conflict
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    Updated,
)
from secaplane.model.power import pending_action as action
from secaplane.model.shape import Resource, State
from secaplane.plugins.plugin import TerminalError
from secaplane.reconcilers.plan import Plan, RelatedResources, Step, never_active, plan
from secaplane.reconcilers.reports import broken_report, outcome_report
from tests.positions import nth
from tests.rules.test_sealing import sealer
from tests.scenario import IDS, TENANT, WEB, found, from_catalogue, given, lived

CREATED, PUT = Created(spec={}), Updated(spec={})
START, STOP, RESTART = (ActionRequested(action=each) for each in ("start", "stop", "restart"))
ACTIVE = found(State.ACTIVE, observed_position=1)
TENANT_THERE = lived(TENANT, {}, ACTIVE)
WEB_GOING = given("workspace", CREATED, DeletionRequested()).resource
WEB_GONE = given("workspace", CREATED, DeletionRequested(), Deleted()).resource


def an(*events: AnyEvent) -> Resource:
    return given("instance", *events).resource


@pytest.mark.parametrize(
    "resource",
    [
        None,
        an(CREATED, ACTIVE),
        an(CREATED, found(State.ERROR, observed_position=1)),
        an(CREATED, PUT, found(State.ACTIVE, observed_position=2)),
        an(CREATED, START, found(State.ACTIVE, observed_position=2)),
        an(CREATED, DeletionRequested(), found(State.ERROR, observed_position=2)),
        an(CREATED, DeletionRequested(), Deleted()),
    ],
)
def test_a_settled_resource_needs_nothing(resource: Resource | None) -> None:
    assert plan(resource, RelatedResources(parents={WEB: None}, children=[WEB])) == Plan(
        Step.NOTHING
    )


@pytest.mark.parametrize(
    "resource",
    [
        an(CREATED),
        an(CREATED, found(State.CREATING, observed_position=1)),
        an(CREATED, ACTIVE, PUT),
        an(CREATED, ACTIVE, PUT, found(State.ACTIVE, observed_position=2)),
        an(CREATED, found(State.ERROR, observed_position=1), PUT),
        an(CREATED, START, found(State.ACTIVE, observed_position=2), PUT),
    ],
)
def test_an_unsettled_resource_is_ensured(resource: Resource) -> None:
    assert plan(resource, RelatedResources()) == Plan(Step.ENSURE)


@pytest.mark.parametrize(
    "resource",
    [
        an(CREATED, START),
        an(CREATED, ACTIVE, START),
        an(CREATED, ACTIVE, START, PUT),
        an(CREATED, ACTIVE, START, PUT, found(State.ACTIVE, observed_position=3)),
        an(CREATED, START, found(State.ACTIVE, observed_position=2), STOP),
    ],
)
def test_a_requested_action_is_performed(resource: Resource) -> None:
    assert plan(resource, RelatedResources()) == Plan(Step.ACT)


# --- deletion


def test_a_terminating_resource_is_removed() -> None:
    assert plan(an(CREATED, DeletionRequested()), RelatedResources()) == Plan(Step.REMOVE)
    again = an(
        CREATED, DeletionRequested(), found(State.ERROR, observed_position=2), DeletionRequested()
    )
    assert plan(again, RelatedResources()) == Plan(Step.REMOVE)


def test_a_terminating_resource_waits_for_its_children() -> None:
    inside = [an(CREATED).ref, TENANT]
    assert plan(WEB_GOING, RelatedResources(children=inside))[:2] == (Step.WAIT, inside[0])


def test_a_terminating_resource_waits_for_its_referrers() -> None:
    users = [an(CREATED).ref]
    terminating = given("block-storage", CREATED, DeletionRequested()).resource
    assert plan(terminating, RelatedResources(referrers=users))[:2] == (Step.WAIT, users[0])


def test_a_terminating_resource_cascades_first() -> None:
    inside = [an(CREATED).ref]
    related = RelatedResources(children=inside, ending=inside, referrers=[TENANT])
    assert plan(WEB_GOING, related) == Plan(Step.CASCADE, inside[0])


def test_a_terminating_resource_ignores_its_parents_and_actions() -> None:
    resource = an(CREATED, START, DeletionRequested())
    assert plan(resource, RelatedResources(parents={WEB: None})) == Plan(Step.REMOVE)


# --- parents


@pytest.mark.parametrize("parent", [None, WEB_GOING, WEB_GONE])
def test_a_resource_created_in_a_terminating_parent_is_reverted(parent: Resource | None) -> None:
    related = RelatedResources(parents={TENANT: TENANT_THERE, WEB: parent})
    assert plan(an(CREATED), related) == Plan(Step.REVERT)


@pytest.mark.parametrize("state", [State.PENDING, State.CREATING, State.ERROR])
def test_a_resource_waits_until_its_parent_was_active(state: State) -> None:
    web = lived(WEB, {}, found(state, observed_position=1))
    related = RelatedResources(parents={TENANT: TENANT_THERE, WEB: web})
    assert plan(an(CREATED), related)[:2] == (Step.WAIT, WEB)


def test_a_resource_in_an_active_parent_does_not_wait() -> None:
    for since in ([], [PUT], [PUT, found(State.ERROR, observed_position=3)]):
        web = lived(WEB, {}, ACTIVE, *since)
        related = RelatedResources(parents={TENANT: TENANT_THERE, WEB: web})
        assert plan(an(CREATED), related) == Plan(Step.ENSURE)


def test_never_active_looks_at_the_whole_life() -> None:
    assert never_active(an(CREATED))
    assert never_active(an(CREATED, found(State.ERROR, observed_position=1), PUT))
    assert not never_active(an(CREATED, ACTIVE))
    assert not never_active(an(CREATED, ACTIVE, PUT, found(State.ERROR, observed_position=3)))


# --- targets of references

DISK = KINDS["block-storage"].ref(IDS, "d")
DISK_THERE = lived(DISK, {}, ACTIVE)
DISK_PENDING = lived(DISK, {})
DISK_BROKEN = lived(DISK, {}, found(State.ERROR, observed_position=1))
DISK_GOING = given("block-storage", CREATED, ACTIVE, DeletionRequested()).resource
SKU = from_catalogue("instance-sku", "s")


@pytest.mark.parametrize("target", [None, DISK_PENDING, DISK_BROKEN, DISK_GOING])
def test_a_new_resource_waits_for_its_strict_targets(target: Resource | None) -> None:
    related = RelatedResources(targets={SKU.ref: SKU, DISK: target})
    assert plan(an(CREATED), related)[:2] == (Step.WAIT, DISK)


def test_an_entry_of_the_catalogue_is_not_waited_for() -> None:
    related = RelatedResources(targets={SKU.ref: SKU, DISK: DISK_THERE})
    assert plan(an(CREATED), related) == Plan(Step.ENSURE)


@pytest.mark.parametrize("target", [None, DISK_GOING, DISK_THERE])
def test_a_resource_that_was_active_continues_without_its_target(
    target: Resource | None,
) -> None:
    related = RelatedResources(targets={DISK: target})
    assert plan(an(CREATED, ACTIVE, PUT), related) == Plan(Step.ENSURE)


def test_a_resource_that_was_active_waits_for_a_new_target() -> None:
    related = RelatedResources(targets={DISK: DISK_PENDING})
    assert plan(an(CREATED, ACTIVE, PUT), related)[:2] == (Step.WAIT, DISK)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.writable])
def test_only_dependents_are_refreshed_when_settled(kind: str) -> None:
    active = given(kind, CREATED, ACTIVE).resource
    step = Step.REFRESH if KINDS[kind].is_dependent else Step.NOTHING
    assert plan(active, RelatedResources()) == Plan(step)
    deleted = given(kind, CREATED, ACTIVE, DeletionRequested()).resource
    assert plan(deleted, RelatedResources()).step is not Step.REFRESH


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.writable])
def test_what_a_target_put_in_error_is_refreshed_when_the_target_changes(kind: str) -> None:
    failed = given(kind, CREATED, ACTIVE, found(State.ERROR, observed_position=1)).resource
    step = Step.REFRESH if kind == "nat-gateway-instance" else Step.NOTHING
    assert plan(failed, RelatedResources()) == Plan(step)


def test_the_dependent_kinds() -> None:
    following = {kind.name for kind in KINDS.values() if kind.is_dependent}
    assert following == {
        "image",
        "nat-gateway-instance",
        "network-load-balancer",
        "nic",
        "routing-table",
        "security-group",
    }


# --- the pending action


ON = (CREATED, START, found(State.ACTIVE, observed_position=2))


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ((CREATED, START), "start"),
        ((CREATED, START, STOP), "stop"),
        ((CREATED, START, STOP, START), "start"),
        ((*ON, STOP), "stop"),
        ((*ON, RESTART), "restart"),
        ((*ON, RESTART, RESTART), "restart"),
        ((*ON, RESTART, STOP), "stop"),
        ((*ON, RESTART, STOP, START), "restart"),
        ((*ON, RESTART, found(State.ACTIVE, observed_position=4), STOP), "stop"),
        ((*ON, RESTART, found(State.ACTIVE, observed_position=4), STOP, START), "start"),
    ],
)
def test_a_superseded_action_is_not_performed(events: tuple[AnyEvent, ...], wanted: str) -> None:
    assert action(an(*events).power) == wanted


# --- rules about other resources

BROKEN = (BrokenRule("is outside of the subnet", "/spec/addresses/0"),)


def test_a_write_that_must_not_stand_is_reverted_before_anything_else() -> None:
    violation = Violation(Conflict("too late"), Delete(regardless=True), nth(1))
    for resource in (an(CREATED), an(CREATED, ACTIVE, PUT), an(CREATED, DeletionRequested())):
        related = RelatedResources(parents={WEB: None}, children=[WEB], violation=violation)
        assert plan(resource, related) == Plan(Step.REVERT)
    assert plan(an(CREATED, ACTIVE), RelatedResources(violation=violation)) == Plan(Step.NOTHING)


def test_a_new_resource_waits_until_what_its_rules_read_is_settled() -> None:
    changing = given("subnet", CREATED, ACTIVE, PUT).resource
    reading = RelatedResources(targets={changing.ref: changing}, read=frozenset({changing.ref}))
    assert plan(an(CREATED), reading) == Plan(Step.WAIT, changing.ref)
    assert plan(an(CREATED, ACTIVE, PUT), reading) == Plan(Step.ENSURE)
    settled = given("subnet", CREATED, ACTIVE).resource
    reading = RelatedResources(targets={settled.ref: settled}, read=frozenset({settled.ref}))
    assert plan(an(CREATED), reading) == Plan(Step.ENSURE)


def test_a_rule_that_is_broken_once_its_targets_are_known_is_reported_without_a_call() -> None:
    assert plan(an(CREATED), RelatedResources(broken=BROKEN)) == Plan(Step.REFUSE)
    assert plan(an(CREATED, START), RelatedResources(broken=BROKEN)) == Plan(Step.REFUSE)
    waiting = RelatedResources(targets={WEB: None}, broken=BROKEN)
    assert plan(an(CREATED), waiting).step is Step.WAIT
    report = broken_report(an(CREATED), BROKEN)
    assert (report.state, report.reason) == (State.ERROR, "RuleBroken")
    assert report.message == "/spec/addresses/0: is outside of the subnet"


def test_after_an_error_the_status_is_what_the_cloud_has() -> None:
    """A growth that failed may be done all the same."""
    volume = given(
        "block-storage", CREATED, found(State.ACTIVE, observed_position=1, sizeGB=3), PUT
    )
    error = TerminalError("CannotShrink", "it has 100 GB")
    report = outcome_report(sealer(), volume.resource, Step.ENSURE, error, {"sizeGB": 100})
    assert isinstance(report, ReportStatus)
    assert (report.state, report.reason, report.status) == (
        State.ERROR,
        "CannotShrink",
        {"sizeGB": 100},
    )
    unknown = outcome_report(sealer(), volume.resource, Step.ENSURE, error)
    assert isinstance(unknown, ReportStatus)
    assert unknown.status == {"sizeGB": 3}
