"""What to do next about one resource."""

import pytest

from secaplane.kinds import KINDS
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
from secaplane.reconcilers.plan import Plan, RelatedResources, Step, never_active, plan
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
def test_what_is_as_it_should_be_rests(resource: Resource | None) -> None:
    assert plan(resource, RelatedResources(parents={WEB: None}, children=[WEB])) == Plan(Step.REST)


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
def test_what_is_not_yet_so_is_ensured(resource: Resource) -> None:
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
def test_an_action_that_nobody_has_served_is_done(resource: Resource) -> None:
    assert plan(resource, RelatedResources()) == Plan(Step.ACT)


# --- going


def test_what_is_to_go_is_removed() -> None:
    assert plan(an(CREATED, DeletionRequested()), RelatedResources()) == Plan(Step.REMOVE)
    again = an(
        CREATED, DeletionRequested(), found(State.ERROR, observed_position=2), DeletionRequested()
    )
    assert plan(again, RelatedResources()) == Plan(Step.REMOVE)


def test_what_is_to_go_waits_for_what_is_still_in_it() -> None:
    inside = [an(CREATED).ref, TENANT]
    assert plan(WEB_GOING, RelatedResources(children=inside))[:2] == (Step.WAIT, inside[0])


def test_what_is_to_go_waits_for_who_uses_it() -> None:
    users = [an(CREATED).ref]
    terminating = given("block-storage", CREATED, DeletionRequested()).resource
    assert plan(terminating, RelatedResources(referrers=users))[:2] == (Step.WAIT, users[0])


def test_what_is_to_go_first_ends_what_goes_with_it() -> None:
    inside = [an(CREATED).ref]
    around = RelatedResources(children=inside, ending=inside, referrers=[TENANT])
    assert plan(WEB_GOING, around) == Plan(Step.END, inside[0])


def test_what_is_to_go_asks_no_parent_and_does_no_action() -> None:
    resource = an(CREATED, START, DeletionRequested())
    assert plan(resource, RelatedResources(parents={WEB: None})) == Plan(Step.REMOVE)


# --- parents


@pytest.mark.parametrize("parent", [None, WEB_GOING, WEB_GONE])
def test_what_was_put_into_something_going_is_taken_back(parent: Resource | None) -> None:
    around = RelatedResources(parents={TENANT: TENANT_THERE, WEB: parent})
    assert plan(an(CREATED), around) == Plan(Step.TAKE_BACK)


@pytest.mark.parametrize("state", [State.PENDING, State.CREATING, State.ERROR])
def test_what_lies_in_something_not_made_yet_waits_for_it(state: State) -> None:
    web = lived(WEB, {}, found(state, observed_position=1))
    around = RelatedResources(parents={TENANT: TENANT_THERE, WEB: web})
    assert plan(an(CREATED), around)[:2] == (Step.WAIT, WEB)


def test_what_lies_in_a_parent_that_is_there_does_not_wait() -> None:
    for since in ([], [PUT], [PUT, found(State.ERROR, observed_position=3)]):
        web = lived(WEB, {}, ACTIVE, *since)
        around = RelatedResources(parents={TENANT: TENANT_THERE, WEB: web})
        assert plan(an(CREATED), around) == Plan(Step.ENSURE)


def test_who_was_never_active_is_known_from_its_story() -> None:
    assert never_active(an(CREATED))
    assert never_active(an(CREATED, found(State.ERROR, observed_position=1), PUT))
    assert not never_active(an(CREATED, ACTIVE))
    assert not never_active(an(CREATED, ACTIVE, PUT, found(State.ERROR, observed_position=3)))


# --- what it refers to

DISK = KINDS["block-storage"].ref(IDS, "d")
DISK_THERE = lived(DISK, {}, ACTIVE)
DISK_PENDING = lived(DISK, {})
DISK_BROKEN = lived(DISK, {}, found(State.ERROR, observed_position=1))
DISK_GOING = given("block-storage", CREATED, ACTIVE, DeletionRequested()).resource
SKU = from_catalogue("instance-sku", "s")


@pytest.mark.parametrize("target", [None, DISK_PENDING, DISK_BROKEN, DISK_GOING])
def test_what_is_new_waits_for_what_it_must_have(target: Resource | None) -> None:
    around = RelatedResources(targets={SKU.ref: SKU, DISK: target})
    assert plan(an(CREATED), around)[:2] == (Step.WAIT, DISK)


def test_what_is_on_offer_is_as_it_is_and_is_not_waited_for() -> None:
    around = RelatedResources(targets={SKU.ref: SKU, DISK: DISK_THERE})
    assert plan(an(CREATED), around) == Plan(Step.ENSURE)


@pytest.mark.parametrize("target", [None, DISK_GOING, DISK_THERE])
def test_what_was_active_once_goes_on_without_what_is_gone(target: Resource | None) -> None:
    around = RelatedResources(targets={DISK: target})
    assert plan(an(CREATED, ACTIVE, PUT), around) == Plan(Step.ENSURE)


def test_what_was_active_once_waits_for_what_it_has_been_given_and_is_not_made_yet() -> None:
    around = RelatedResources(targets={DISK: DISK_PENDING})
    assert plan(an(CREATED, ACTIVE, PUT), around)[:2] == (Step.WAIT, DISK)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.writable])
def test_only_who_follows_something_is_looked_at_again_when_it_is_finished(kind: str) -> None:
    active = given(kind, CREATED, ACTIVE).resource
    step = Step.REFRESH if KINDS[kind].is_dependent else Step.REST
    assert plan(active, RelatedResources()) == Plan(step)
    for other in (found(State.ERROR, observed_position=1), DeletionRequested()):
        resource = given(kind, CREATED, ACTIVE, other).resource
        assert plan(resource, RelatedResources()).step is not Step.REFRESH


def test_who_follows_something_is_known() -> None:
    following = {kind.name for kind in KINDS.values() if kind.is_dependent}
    assert following == {
        "image",
        "network-load-balancer",
        "nic",
        "routing-table",
        "security-group",
    }


# --- which action


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
def test_what_was_asked_for_and_overtaken_is_not_done(
    events: tuple[AnyEvent, ...], wanted: str
) -> None:
    assert action(an(*events).power) == wanted
