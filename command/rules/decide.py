"""The decision: a context and a command go in; an event, nothing, or a refusal comes out. Pure.

Order of checks: rules within the spec; being deleted, or below what is being deleted; the caller's
precondition; rules that compare with the present resource or with others; state; and at the end the
permissions that the command grants and the quota.
"""

from secaplane.command.rules import checks, closing, compensation
from secaplane.command.rules.commands import (
    Act,
    Close,
    Command,
    ConfirmDeleted,
    Delete,
    Put,
    Release,
    ReportStatus,
    Revert,
)
from secaplane.command.rules.context import DecisionContext
from secaplane.command.rules.quotas import refuse_over_quota
from secaplane.model.errors import refuse_broken
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.precondition import refuse_failed
from secaplane.model.shape import State


def decide(context: DecisionContext, command: Command) -> AnyEvent | None:
    match command:
        case Put():
            return put(context, command)
        case Act():
            return act(context, command)
        case Delete():
            return delete(context, command)
        case Close():
            return closing.close(context, command)
        case ReportStatus():
            return report(context, command)
        case ConfirmDeleted():
            return confirm_deleted(context, command)
        case Release():
            return compensation.release(context, command)
        case Revert():
            return compensation.revert(context, command)


def put(context: DecisionContext, command: Put) -> AnyEvent:
    resource = context.resource
    old = resource.spec if resource else None
    refuse_broken(checks.broken_shape(context.kind, command.spec))
    checks.refuse_without_parents(context)
    if resource is not None:
        checks.refuse_terminating(resource)
    refuse_failed(command.precondition, resource)
    refuse_broken(checks.broken_rules(context, command.spec))
    checks.refuse_reserved_name(context)
    checks.refuse_in_use(context)
    checks.refuse_escalation(context)
    refuse_over_quota(context.quota, context.ref, old, command.spec)
    event = Created if resource is None else Updated
    return event(**compensation.desired(command))


def act(context: DecisionContext, command: Act) -> AnyEvent:
    resource = checks.existing(context)
    checks.refuse_terminating(resource)
    refuse_failed(command.precondition, resource)
    checks.refuse_wrong_power(resource, command.action)
    return ActionRequested(action=command.action)


def delete(context: DecisionContext, command: Delete) -> AnyEvent | None:
    """A second DELETE records nothing, unless the first removal ended in an error: then it is tried
    again. A resource that cannot be read is closed (docs/decisions/040)."""
    if context.ref.name in context.kind.exposure.builtin_names:
        checks.refuse_reserved_name(context)
    if context.damage is not None:
        return closing.delete(context, context.damage, command)
    resource = checks.existing(context)
    refuse_failed(command.precondition, resource)
    if resource.deleted_at and resource.state is not State.ERROR:
        return None
    if not command.regardless:
        checks.refuse_blocked(context)
    return DeletionRequested()


def report(context: DecisionContext, command: ReportStatus) -> AnyEvent | None:
    """A report about a former life, or one that changes nothing, records nothing."""
    resource = context.resource
    if resource is None or resource.uid != command.uid:
        return None
    if not checks.changes_status(resource, command):
        return None
    return StatusReported(
        state=command.state,
        observed_position=command.observed_position,
        status=command.status,
        reason=command.reason,
        message=command.message,
    )


def confirm_deleted(context: DecisionContext, command: ConfirmDeleted) -> AnyEvent | None:
    """A confirmation ends only the life it names, only after the deletion was requested, and not
    while the resource contains another."""
    resource = context.resource
    if resource is None or resource.uid != command.uid or context.children:
        return None
    if not resource.deleted_at or command.observed_position < resource.last_intent:
        return None
    return Deleted()
