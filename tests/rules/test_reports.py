"""Reports of a reconciler are recorded only if they change something."""

from secaplane.command.rules.commands import ReportStatus
from secaplane.model.events import Created, Deleted, DeletionRequested, StatusReported, Updated
from secaplane.model.shape import State
from tests.positions import nth
from tests.scenario import found, given, report

CREATED = Created(spec={"sizeGB": 10})
GROWN = Updated(spec={"sizeGB": 20})
ACTIVE = found(State.ACTIVE, observed_position=1, sizeGB=10)


def test_a_first_report_is_recorded_whole() -> None:
    given("block-storage", CREATED).when(
        report(
            State.ERROR,
            observed_position=1,
            reason="NoSpace",
            message="the disks are full",
            sizeGB=0,
        )
    ).then(
        StatusReported(
            state=State.ERROR,
            observed_position=nth(1),
            status={"sizeGB": 0},
            reason="NoSpace",
            message="the disks are full",
        )
    )


def test_the_same_report_is_not_recorded_twice() -> None:
    given("block-storage", CREATED, ACTIVE).when(
        report(State.ACTIVE, observed_position=2, sizeGB=10)
    ).then_nothing()


def test_the_same_report_is_recorded_when_it_answers_a_newer_intent() -> None:
    given("block-storage", CREATED, ACTIVE, GROWN).when(
        report(State.ACTIVE, observed_position=3, sizeGB=10)
    ).then(found(State.ACTIVE, observed_position=3, sizeGB=10))


def test_another_state_or_another_field_is_recorded() -> None:
    for later in (
        found(State.ERROR, observed_position=2, sizeGB=10),
        found(
            State.ACTIVE, observed_position=2, sizeGB=10, attachedTo={"resource": "instances/one"}
        ),
    ):
        given("block-storage", CREATED, ACTIVE).when(command_for(later)).then(later)


def test_a_report_of_an_older_position_is_recorded_only_for_its_fields() -> None:
    given("block-storage", CREATED, ACTIVE, GROWN).when(
        report(State.ERROR, observed_position=2, reason="Late", sizeGB=10)
    ).then_nothing()
    given("block-storage", CREATED, ACTIVE, GROWN).when(
        report(State.ACTIVE, observed_position=2, sizeGB=15)
    ).then(found(State.ACTIVE, observed_position=2, sizeGB=15))


def test_the_reason_of_a_wait_is_recorded_once() -> None:
    waiting = found(State.PENDING, observed_position=1, reason="WaitingForWorkspace")
    given("block-storage", CREATED).when(command_for(waiting)).then(waiting)
    given("block-storage", CREATED, waiting).when(command_for(waiting)).then_nothing()


def test_another_reason_to_wait_or_to_fail_is_recorded() -> None:
    for state in (State.PENDING, State.ERROR):
        given("block-storage", CREATED, found(state, observed_position=1, reason="One")).when(
            report(state, observed_position=2, reason="Other")
        ).then(found(state, observed_position=2, reason="Other"))


def test_a_report_without_a_reason_after_one_with_it_records_nothing() -> None:
    given("block-storage", CREATED, found(State.ERROR, observed_position=1, reason="NoSpace")).when(
        report(State.ERROR, observed_position=2)
    ).then_nothing()


def test_a_report_of_a_former_life_records_nothing() -> None:
    reborn = (CREATED, DeletionRequested(), Deleted(), CREATED)
    late = report(State.ACTIVE, observed_position=9, uid="u1", sizeGB=7)
    given("block-storage", *reborn).when(late).then_nothing()


def test_a_report_of_an_absent_or_deleted_resource_records_nothing() -> None:
    for events in ((), (CREATED, DeletionRequested(), Deleted())):
        given("block-storage", *events).when(
            report(State.ACTIVE, observed_position=3)
        ).then_nothing()


def command_for(event: StatusReported) -> ReportStatus:
    return report(
        event.state,
        observed_position=event.observed_position.sequence,
        reason=event.reason,
        **event.status,
    )
