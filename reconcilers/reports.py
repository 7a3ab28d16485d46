"""The reports of a reconciler: observed status as commands. Pure."""

from collections.abc import Sequence

import msgspec

from secaplane.command.rules.commands import Command, ConfirmDeleted, ReportStatus
from secaplane.command.rules.empty_lists import remark
from secaplane.kinds import KINDS
from secaplane.model.errors import BrokenRule
from secaplane.model.shape import Json, Resource, State
from secaplane.plugins.plugin import Ready, TerminalError
from secaplane.reconcilers.plan import Plan, Step
from secaplane.sealing.sealer import Sealer

NO_EFFECT = "NoEffect"
"""The reason of a condition whose message says why a resource, or a part of it, has no effect."""
RULE_BROKEN = "RuleBroken"


def outcome_report(
    sealer: Sealer,
    resource: Resource,
    step: Step,
    outcome: Ready | TerminalError,
    actual: Json | None = None,
) -> Command:
    """The report of a finished step; `actual` is the status that the cloud has after an error, if
    it has one.

    Raises:
        msgspec.ValidationError: the plugin reports a status that the kind does not have.
    """
    match outcome:
        case Ready() if step is Step.REMOVE:
            return ConfirmDeleted(uid=resource.uid, observed_position=resource.position)
        case Ready(status=observed):
            text = remark(KINDS[resource.ref.kind], resource.spec)
            return status_report(
                resource,
                State.ACTIVE,
                observed=_sealed(sealer, resource, observed),
                reason=NO_EFFECT if text else "",
                message=text,
            )
        case TerminalError(reason=reason, message=message):
            known = _sealed(sealer, resource, actual) if actual else None
            return status_report(
                resource, State.ERROR, observed=known, reason=reason, message=message
            )


def _sealed(sealer: Sealer, resource: Resource, observed: Json) -> Json:
    kind = KINDS[resource.ref.kind]
    msgspec.convert(observed, kind.status)
    return sealer.seal_status(kind, resource.life_ids, observed, resource.observed)


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


def broken_report(resource: Resource, broken: Sequence[BrokenRule]) -> ReportStatus:
    """Rules about targets that could not be judged when the write was accepted."""
    message = "; ".join(f"{each.pointer}: {each.detail}" for each in broken)
    return status_report(resource, State.ERROR, reason=RULE_BROKEN, message=message)


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
