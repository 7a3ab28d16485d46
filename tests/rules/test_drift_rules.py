"""Drift of one resource: when it is found, how it is reported, when it is repaired."""

import pytest

from secaplane.command.rules.commands import ReportStatus
from secaplane.kinds import KINDS
from secaplane.model.closing import CONDITIONS_MAX
from secaplane.model.events import Created, DeletionRequested, StatusReported, Updated
from secaplane.model.explained import ABSENT, DIFFERS, OVER, open_drift
from secaplane.model.shape import Json, Resource, State
from secaplane.plugins.plugin import Ready
from secaplane.reconcilers.drift.comparison import Drift, comparable, drift_of
from secaplane.reconcilers.plan import RelatedResources, Step, plan
from secaplane.reconcilers.reports import drift_report, outcome_report
from tests.positions import nth
from tests.rules.test_sealing import sealer
from tests.scenario import condition_texts, found, given

CREATED, PUT = Created(spec={}), Updated(spec={})
ON: Json = {"powerState": "on"}
ACTIVE = found(State.ACTIVE, observed_position=1, **ON)
GONE_THERE = found(State.ACTIVE, observed_position=2, reason=ABSENT, **ON)
OTHER_THERE = found(State.ACTIVE, observed_position=2, reason=DIFFERS, **ON)
BACK = found(State.ACTIVE, observed_position=3, reason=OVER, **ON)
BEGUN = ["active", "creating", "pending"]
EVERY = frozenset(KINDS)


def an(*events: object) -> Resource:
    return given("instance", CREATED, ACTIVE, *events).resource  # type: ignore[arg-type]


# --- the difference


def test_what_the_cloud_has_as_recorded_is_no_drift() -> None:
    assert drift_of(an(), ON) is None


def test_nothing_in_the_cloud_is_drift() -> None:
    drift = drift_of(an(), None)
    assert drift is not None
    assert drift.reason == ABSENT


@pytest.mark.parametrize("actual", [{"powerState": "off"}, {}, {**ON, "more": 1}])
def test_a_difference_names_the_fields_and_no_value(actual: Json) -> None:
    drift = drift_of(an(), actual)
    assert drift is not None
    field = "more" if "more" in actual else "powerState"
    assert drift == Drift(DIFFERS, f"the cloud differs in {field}")


def test_many_differences_are_counted() -> None:
    drift = drift_of(an(), ON | {f"f{n}": n for n in range(30)})
    assert drift is not None
    assert drift.message.endswith("and 20 more")


def test_the_nodes_of_a_pool_are_no_part_of_what_the_cloud_reports() -> None:
    nodes: Json = {"nodes": [{"resource": "instances/pool-1"}]}
    reported = found(State.ACTIVE, observed_position=1, **nodes)
    pool = given("kubernetes-node-pool", CREATED, reported).resource
    owned = KINDS["kubernetes-node-pool"].owned.status(())
    assert owned.keys() == nodes.keys()
    assert drift_of(pool, {}) is None


@pytest.mark.parametrize(
    "resource",
    [
        given("instance", CREATED).resource,
        an(PUT),
        an(DeletionRequested()),
        an(PUT, found(State.ERROR, observed_position=3)),
        given("workspace", CREATED, ACTIVE, PUT).resource,
        given("role", CREATED, ACTIVE).resource,
    ],
)
def test_only_a_settled_resource_of_the_cloud_is_compared(resource: Resource) -> None:
    assert not comparable(resource)
    assert comparable(an())


# --- the conditions


def test_drift_is_one_condition_when_found_and_one_when_over() -> None:
    drifted = an(GONE_THERE)
    assert drifted.state is State.ACTIVE
    assert condition_texts(drifted) == [f"DriftDetected {ABSENT} active", *BEGUN]
    over = an(GONE_THERE, BACK)
    assert over.state is State.ACTIVE
    assert condition_texts(over) == [
        f"DriftDetected {OVER} active",
        f"DriftDetected {ABSENT} active",
        *BEGUN,
    ]


def test_drift_is_open_until_it_is_over() -> None:
    assert open_drift(an()) == ""
    assert open_drift(an(GONE_THERE)) == ABSENT
    assert open_drift(an(GONE_THERE, OTHER_THERE)) == DIFFERS
    assert open_drift(an(GONE_THERE, BACK)) == ""
    assert open_drift(an(GONE_THERE, PUT, found(State.ACTIVE, observed_position=4))) == ABSENT


def test_conditions_of_drift_are_bounded_like_all_others() -> None:
    assert len(an(*[GONE_THERE, BACK] * CONDITIONS_MAX).conditions) == CONDITIONS_MAX


def test_an_intent_after_the_drift_was_found_is_not_explained_by_it() -> None:
    assert condition_texts(an(GONE_THERE, PUT))[0] == "updating"


# --- the report


def reported(resource: Resource, drift: Drift | None) -> ReportStatus:
    return drift_report(resource, drift)


def test_a_report_of_drift_leaves_state_and_status() -> None:
    scene = given("instance", CREATED, ACTIVE)
    report = reported(scene.resource, Drift(ABSENT, "nothing"))
    scene.when(report).then(
        StatusReported(
            state=State.ACTIVE,
            observed_position=nth(2),
            status=ON,
            reason=ABSENT,
            message="nothing",
        )
    )


@pytest.mark.parametrize(
    "later",
    [PUT, DeletionRequested(), found(State.ACTIVE, observed_position=2, powerState="off")],
)
def test_a_report_of_drift_is_refused_after_any_later_event(later: object) -> None:
    """An observation says nothing about an event after it: not even the status is taken."""
    report = reported(an(), Drift(ABSENT, "nothing"))
    scene = given("instance", CREATED, ACTIVE, later)  # type: ignore[arg-type]
    scene.when(report).then_nothing()


def test_the_same_report_twice_is_recorded_once() -> None:
    scene = given("instance", CREATED, ACTIVE)
    report = reported(scene.resource, Drift(ABSENT, "nothing"))
    scene.when(report)
    event = StatusReported(
        state=State.ACTIVE, observed_position=nth(2), status=ON, reason=ABSENT, message="nothing"
    )
    given("instance", CREATED, ACTIVE, event).when(report).then_nothing()


# --- the repair


@pytest.mark.parametrize(
    ("resource", "repaired", "step"),
    [
        (an(GONE_THERE), EVERY, Step.REFRESH),
        (an(OTHER_THERE), frozenset({"instance"}), Step.REFRESH),
        (an(GONE_THERE), frozenset({"block-storage"}), Step.NOTHING),
        (an(GONE_THERE, BACK), EVERY, Step.NOTHING),
        (an(), EVERY, Step.NOTHING),
        (an(GONE_THERE, DeletionRequested()), EVERY, Step.REMOVE),
        (an(GONE_THERE, PUT), frozenset(), Step.ENSURE),
    ],
)
def test_drift_is_repaired_where_the_setting_says_so(
    resource: Resource, repaired: frozenset[str], step: Step
) -> None:
    assert plan(resource, RelatedResources(), repaired=repaired).step is step


def test_a_repair_ends_the_drift_also_with_the_same_status() -> None:
    resource = an(GONE_THERE)
    report = outcome_report(sealer(), resource, Step.REFRESH, Ready(ON))
    assert isinstance(report, ReportStatus)
    assert (report.state, report.reason, report.status) == (State.ACTIVE, OVER, ON)


def test_a_refresh_without_drift_adds_nothing() -> None:
    report = outcome_report(sealer(), an(GONE_THERE, BACK), Step.REFRESH, Ready(ON))
    assert isinstance(report, ReportStatus)
    assert report.reason == ""
    given("instance", CREATED, ACTIVE, GONE_THERE, BACK).when(report).then_nothing()
