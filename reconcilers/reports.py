"""The reports of a reconciler: observed status as commands. Pure."""

import msgspec

from secaplane.command.rules.commands import Command, ConfirmDeleted, ReportStatus
from secaplane.kinds import KINDS
from secaplane.model.shape import Json, Resource, State
from secaplane.plugins.plugin import Ready, TerminalError
from secaplane.reconcilers.plan import Plan, Step
from secaplane.sealing.sealer import Sealer


def outcome_report(
    sealer: Sealer, resource: Resource, step: Step, outcome: Ready | TerminalError
) -> Command:
    """The report of a finished step.

    Raises:
        msgspec.ValidationError: the plugin reports a status that the kind does not have.
    """
    kind = KINDS[resource.ref.kind]
    match outcome:
        case Ready() if step is Step.REMOVE:
            return ConfirmDeleted(uid=resource.uid, observed_position=resource.position)
        case Ready(status=observed):
            msgspec.convert(observed, kind.status)
            sealed = sealer.seal_status(kind, resource.life_ids, observed, resource.observed)
            return status_report(resource, State.ACTIVE, observed=sealed)
        case TerminalError(reason=reason, message=message):
            return status_report(resource, State.ERROR, reason=reason, message=message)


def creating_report(resource: Resource) -> ReportStatus:
    return status_report(resource, State.CREATING)


def waiting_report(resource: Resource, plan: Plan) -> ReportStatus:
    """Names the target in the newest condition; it adds no condition."""
    target = plan.waits_for
    assert target is not None, "a plan that waits names its target"
    words = "".join(part.capitalize() for part in target.kind.split("-"))
    return status_report(
        resource,
        resource.state,
        reason=f"WaitingFor{words}",
        message=f"waits until {target.kind} {target.name} is {plan.until}",
    )


def members_report(resource: Resource) -> ReportStatus:
    state = State.CREATING if resource.state is State.PENDING else resource.state
    return status_report(
        resource,
        state,
        reason="WaitingForMembers",
        message="waits until all resources that it owns are active",
    )


def status_report(
    resource: Resource,
    state: State,
    *,
    observed: Json | None = None,
    reason: str = "",
    message: str = "",
) -> ReportStatus:
    """A report about the position that was read; the status is unchanged where `observed` is
    None."""
    return ReportStatus(
        uid=resource.uid,
        observed_position=resource.position,
        state=state,
        status=resource.observed if observed is None else observed,
        reason=reason,
        message=message,
    )
