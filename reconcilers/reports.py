"""The reports of a reconciler: observed status as commands. Pure."""

from collections.abc import Sequence

import msgspec

from secaplane.command.rules.commands import Command, ConfirmDeleted, ReportStatus
from secaplane.command.rules.empty_lists import remark
from secaplane.kinds import KINDS
from secaplane.model.errors import BrokenRule
from secaplane.model.explained import DRIFT, OVER, open_drift
from secaplane.model.shape import Json, Resource, State
from secaplane.plugins.plugin import Ready, TerminalError
from secaplane.reconcilers.drift.comparison import Drift
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
            reason, text = _explanation(resource, step)
            return status_report(
                resource,
                State.ACTIVE,
                observed=sealed_status(sealer, resource, observed),
                reason=reason,
                message=text,
            )
        case TerminalError(reason=reason, message=message):
            known = sealed_status(sealer, resource, actual) if actual else None
            return status_report(
                resource, State.ERROR, observed=known, reason=reason, message=message
            )


def _explanation(resource: Resource, step: Step) -> tuple[str, str]:
    """Reason and message of the report that a resource is as desired. An entry about drift keeps
    its text while it is the newest."""
    if step is Step.REFRESH and open_drift(resource):
        return OVER, "the cloud matches the desired state again"
    settled = step is Step.REFRESH and resource.conditions[0].type == DRIFT
    text = "" if settled else remark(KINDS[resource.ref.kind], resource.spec)
    return (NO_EFFECT, text) if text else ("", "")


def sealed_status(sealer: Sealer, resource: Resource, observed: Json) -> Json:
    """A status from the plugin as it is recorded: its secrets sealed, as before where they are the
    same.

    Raises:
        msgspec.ValidationError: the kind does not have such a status.
    """
    kind = KINDS[resource.ref.kind]
    msgspec.convert(observed, kind.status)
    return sealer.seal_status(kind, resource.life_ids, observed, resource.observed)


def drift_report(resource: Resource, drift: Drift | None) -> ReportStatus:
    """The cloud differs from the log, or, without a drift, does so no more. The state and the
    recorded status stay: they are what the cloud is compared with. Refused where the resource has
    had an event since."""
    over = Drift(OVER, "the cloud matches the recorded status again")
    reason, message = drift or over
    report = status_report(resource, resource.state, reason=reason, message=message)
    return msgspec.structs.replace(report, only_at=resource.position)


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
