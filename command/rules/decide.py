"""The rules. Pure: a situation and a command go in; an event, nothing, or a refusal comes out.

Order of judgement: schema and business rules first, then the caller's precondition, then state, and
what the caller gives away last.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec import UNSET

from secaplane.command.gather.load import DecisionContext
from secaplane.command.rules.commands import (
    Act,
    Command,
    ConfirmDeleted,
    Delete,
    Put,
    ReportStatus,
    Revert,
)
from secaplane.command.rules.quotas import refuse_over
from secaplane.command.rules.references import broken_references, broken_zones
from secaplane.kinds import KINDS
from secaplane.model.errors import (
    BrokenRule,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    refuse_broken,
)
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.kind import Kind
from secaplane.model.pointer import at
from secaplane.model.power import ACTIONS
from secaplane.model.shape import Json, Ref, Resource, State

BLOCKERS_MAX = 10


def decide(context: DecisionContext, command: Command) -> AnyEvent | None:
    match command:
        case Put():
            return put(context, command)
        case Act():
            return act(context, command)
        case Delete():
            return delete(context, command)
        case ReportStatus():
            return report(context, command)
        case ConfirmDeleted():
            return confirm(context, command)
        case Revert():
            return take_back(context, command)


def put(context: DecisionContext, command: Put) -> AnyEvent:
    resource = context.resource
    refuse_broken(broken_rules(context, resource.spec if resource else None, command.spec))
    refuse_homeless(context)
    refuse_outdated(resource, command.expected)
    refuse_reserved(context)
    wanted: dict[str, Any] = {
        "spec": command.spec,
        "labels": command.labels,
        "annotations": command.annotations,
        "extensions": command.extensions,
    }
    if resource is None:
        refuse_escalation(context, None, command.spec)
        refuse_over(context.quota, context.ref, None, command.spec)
        return Created(**wanted)
    refuse_going(resource)
    refuse_escalation(context, resource.spec, command.spec)
    refuse_over(context.quota, context.ref, resource.spec, command.spec)
    return Updated(**wanted)


def refuse_escalation(context: DecisionContext, old: Json | None, new: Json) -> None:
    """Last of all: who is told what they may not give away knows that all else was right."""
    too_much = context.rights.exceeds(context.ref, old, new)
    if too_much:
        raise Forbidden(f"you can only give away what you hold, and you do not hold {too_much}")


def act(context: DecisionContext, command: Act) -> AnyEvent:
    resource = present(context)
    refuse_outdated(resource, command.expected)
    refuse_going(resource)
    needed = ACTIONS[command.action].needs
    if resource.power.desired != needed:
        raise Conflict(
            f"{command.action} needs the power {needed}, and it is to be {resource.power.desired}"
        )
    return ActionRequested(action=command.action)


def refuse_reserved(context: DecisionContext) -> None:
    reserved = context.kind.exposure.reserved_prefix
    if reserved and context.ref.name.startswith(reserved):
        raise Conflict(f"names that begin with {reserved} are the system's; choose another")


def delete(context: DecisionContext, command: Delete) -> AnyEvent | None:
    """A second DELETE is nothing new, unless the first removal was refused: then it is tried
    again."""
    if context.ref.name in context.kind.exposure.builtin_names:
        refuse_reserved(context)
    resource = present(context)
    refuse_outdated(resource, command.expected)
    if resource.deleted_at and resource.state is not State.ERROR:
        return None
    if not command.regardless:
        refuse_inhabited(context)
        refuse_used(context)
    return DeletionRequested()


def report(context: DecisionContext, command: ReportStatus) -> AnyEvent | None:
    """A late report of a former life, or one that says nothing new, is nothing."""
    resource = context.resource
    if resource is None or resource.uid != command.uid or not news(resource, command):
        return None
    return StatusReported(
        state=command.state,
        observed_position=command.observed_position,
        status=command.status,
        reason=command.reason,
        message=command.message,
    )


def news(resource: Resource, command: ReportStatus) -> bool:
    if command.status != resource.observed:
        return True
    if command.observed_position < resource.last_intent:
        return False
    said = resource.conditions[0]
    remarked = (command.reason or UNSET, command.message or UNSET)
    return (
        resource.observed_position < resource.last_intent
        or command.state is not resource.state
        or (
            command.state is not State.ACTIVE
            and remarked not in ((UNSET, UNSET), (said.reason, said.message))
        )
    )


def confirm(context: DecisionContext, command: ConfirmDeleted) -> AnyEvent | None:
    """A confirmation ends the life it names and no other, only one that was to end, and not while
    something lies in it."""
    resource = context.resource
    if resource is None or resource.uid != command.uid:
        return None
    if not resource.deleted_at or command.observed_position < resource.last_intent:
        return None
    return None if context.children else Deleted()


def take_back(context: DecisionContext, command: Revert) -> AnyEvent | None:
    """No rule stands in the way: it should never have been. Whoever used it meanwhile waits for it,
    and it waits for them."""
    resource = context.resource
    if resource is None or resource.deleted_at or resource.version != command.expected:
        return None
    if command.to is None:
        return DeletionRequested()
    return Updated(
        spec=command.to.spec,
        labels=command.to.labels,
        annotations=command.to.annotations,
        extensions=command.to.extensions,
    )


def present(context: DecisionContext) -> Resource:
    if context.resource is None:
        raise NotFound(f"there is no {context.ref.kind} {context.ref.name}; create it with PUT")
    return context.resource


def refuse_homeless(context: DecisionContext) -> None:
    """A parent that is absent is 404; one that is going forbids new children, not changes of
    old."""
    for ref, parent in context.parents.items():
        if parent is None:
            raise NotFound(f"{ref.kind} {ref.name} does not exist; create it first")
        going_along = (ref.kind, context.kind.name) in context.site.cascades
        if parent.terminating and (context.resource is None or going_along):
            raise Conflict(f"{ref.kind} {ref.name} is being deleted; nothing can be put into it")


def refuse_outdated(resource: Resource | None, expected: int | None) -> None:
    version = resource.version if resource else 0
    if expected is not None and expected != version:
        now = f"it is at {version}" if resource else "it does not exist"
        raise PreconditionFailed(
            f"you last saw version {expected}, and {now}; read it again",
            parameter="if-unmodified-since",
        )


def refuse_going(resource: Resource) -> None:
    if resource.deleted_at:
        raise Conflict("it is being deleted; wait until it is gone, then create it anew")


def refuse_inhabited(context: DecisionContext) -> None:
    cascades = context.site.cascades
    staying = [ref for ref in context.children if (context.kind.name, ref.kind) not in cascades]
    _refuse_blocked(context, staying, "it still holds {}; delete what is in it first")


def refuse_used(context: DecisionContext) -> None:
    _refuse_blocked(context, context.referrers, "it is in use by {}; delete or change that first")


def _refuse_blocked(context: DecisionContext, blockers: Sequence[Ref], says: str) -> None:
    """Names only what the caller may get."""
    if blockers:
        count = len(blockers)
        shown = islice(filter(context.rights.sees, blockers), BLOCKERS_MAX)
        raise Conflict(
            says.format("one resource" if count == 1 else f"{count} resources"),
            meta={"blockers": [KINDS[ref.kind].urn(ref) for ref in shown], "count": count},
        )


def broken_rules(context: DecisionContext, old: Json | None, new: Json) -> list[BrokenRule]:
    """Every rule that a wanted spec breaks. What it refers to is only asked for where there is a
    place for the resource: below a parent that is absent, nothing is there."""
    kind = context.kind
    broken = [*_fixed(kind, old, new)]
    if kind.rules.check:
        broken += kind.rules.check(old, new, context.around)
    if not any(parent is None or parent.terminating for parent in context.parents.values()):
        broken += broken_zones(context, old, new)
        broken += broken_references(context, old, new)
    return broken


def _fixed(kind: Kind, old: Json | None, new: Json) -> Iterator[BrokenRule]:
    for pointer in kind.rules.immutable if old is not None else ():
        if at(old, pointer) != at(new, pointer):
            yield BrokenRule(
                "cannot change after creation; delete and create anew", f"/spec{pointer}"
            )
    for pointer in kind.rules.set_once if old is not None else ():
        former, wanted = at(old, pointer), at(new, pointer)
        if None not in (former, wanted) and former != wanted:
            yield BrokenRule("can be set once only; delete and create anew", f"/spec{pointer}")
