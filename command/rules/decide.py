"""The rules. Pure: a situation and a command go in; an event, nothing, or a refusal comes out.

Order of judgement: schema and business rules first, then the caller's precondition, then state, and
what the caller gives away last.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec import UNSET

from secaplane.command.gather.load import Situation
from secaplane.command.rules.commands import (
    Act,
    Command,
    ConfirmDeleted,
    Delete,
    Put,
    ReportStatus,
    TakeBack,
)
from secaplane.command.rules.quotas import refuse_over
from secaplane.command.rules.references import broken_references, broken_zones
from secaplane.kinds import KINDS
from secaplane.model.errors import Broken, Conflict, Forbidden, NotFound, Outdated, refuse_broken
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


def decide(situation: Situation, command: Command) -> AnyEvent | None:
    match command:
        case Put():
            return put(situation, command)
        case Act():
            return act(situation, command)
        case Delete():
            return delete(situation, command)
        case ReportStatus():
            return report(situation, command)
        case ConfirmDeleted():
            return confirm(situation, command)
        case TakeBack():
            return take_back(situation, command)


def put(situation: Situation, command: Put) -> AnyEvent:
    resource = situation.resource
    refuse_broken(broken_rules(situation, resource.spec if resource else None, command.spec))
    refuse_homeless(situation)
    refuse_outdated(resource, command.expected)
    refuse_reserved(situation)
    wanted: dict[str, Any] = {
        "spec": command.spec,
        "labels": command.labels,
        "annotations": command.annotations,
        "extensions": command.extensions,
    }
    if resource is None:
        refuse_escalation(situation, None, command.spec)
        refuse_over(situation.quota, situation.ref, None, command.spec)
        return Created(**wanted)
    refuse_going(resource)
    refuse_escalation(situation, resource.spec, command.spec)
    refuse_over(situation.quota, situation.ref, resource.spec, command.spec)
    return Updated(**wanted)


def refuse_escalation(situation: Situation, old: Json | None, new: Json) -> None:
    """Last of all: who is told what they may not give away knows that all else was right."""
    too_much = situation.rights.exceeds(situation.ref, old, new)
    if too_much:
        raise Forbidden(f"you can only give away what you hold, and you do not hold {too_much}")


def act(situation: Situation, command: Act) -> AnyEvent:
    resource = present(situation)
    refuse_outdated(resource, command.expected)
    refuse_going(resource)
    needed = ACTIONS[command.action].needs
    if resource.power.intended != needed:
        raise Conflict(
            f"{command.action} needs the power {needed}, and it is to be {resource.power.intended}"
        )
    return ActionRequested(action=command.action)


def refuse_reserved(situation: Situation) -> None:
    reserved = situation.kind.reserved
    if reserved and situation.ref.name.startswith(reserved):
        raise Conflict(f"names that begin with {reserved} are the system's; choose another")


def delete(situation: Situation, command: Delete) -> AnyEvent | None:
    """A second DELETE is nothing new, unless the first removal was refused: then it is tried
    again."""
    if situation.ref.name in situation.kind.constants:
        refuse_reserved(situation)
    resource = present(situation)
    refuse_outdated(resource, command.expected)
    if resource.deleted_at and resource.state is not State.ERROR:
        return None
    if not command.regardless:
        refuse_inhabited(situation)
        refuse_used(situation)
    return DeletionRequested()


def report(situation: Situation, command: ReportStatus) -> AnyEvent | None:
    """A late report of a former life, or one that says nothing new, is nothing."""
    resource = situation.resource
    if resource is None or resource.uid != command.uid or not news(resource, command):
        return None
    return StatusReported(
        state=command.state,
        seen=command.seen,
        status=command.status,
        reason=command.reason,
        message=command.message,
    )


def news(resource: Resource, command: ReportStatus) -> bool:
    if command.status != resource.found:
        return True
    if command.seen < resource.intended:
        return False
    said = resource.conditions[0]
    remarked = (command.reason or UNSET, command.message or UNSET)
    return (
        resource.seen < resource.intended
        or command.state is not resource.state
        or (
            command.state is not State.ACTIVE
            and remarked not in ((UNSET, UNSET), (said.reason, said.message))
        )
    )


def confirm(situation: Situation, command: ConfirmDeleted) -> AnyEvent | None:
    """A confirmation ends the life it names and no other, only one that was to end, and not while
    something lies in it."""
    resource = situation.resource
    if resource is None or resource.uid != command.uid:
        return None
    if not resource.deleted_at or command.seen < resource.intended:
        return None
    return None if situation.inside else Deleted()


def take_back(situation: Situation, command: TakeBack) -> AnyEvent | None:
    """No rule stands in the way: it should never have been. Whoever used it meanwhile waits for it,
    and it waits for them."""
    resource = situation.resource
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


def present(situation: Situation) -> Resource:
    if situation.resource is None:
        raise NotFound(f"there is no {situation.ref.kind} {situation.ref.name}; create it with PUT")
    return situation.resource


def refuse_homeless(situation: Situation) -> None:
    """A parent that is absent is 404; one that is going forbids new children, not changes of
    old."""
    for ref, parent in situation.parents.items():
        if parent is None:
            raise NotFound(f"{ref.kind} {ref.name} does not exist; create it first")
        going_along = (ref.kind, situation.kind.name) in situation.site.cascades
        if parent.going and (situation.resource is None or going_along):
            raise Conflict(f"{ref.kind} {ref.name} is being deleted; nothing can be put into it")


def refuse_outdated(resource: Resource | None, expected: int | None) -> None:
    version = resource.version if resource else 0
    if expected is not None and expected != version:
        now = f"it is at {version}" if resource else "it does not exist"
        raise Outdated(
            f"you last saw version {expected}, and {now}; read it again",
            parameter="if-unmodified-since",
        )


def refuse_going(resource: Resource) -> None:
    if resource.deleted_at:
        raise Conflict("it is being deleted; wait until it is gone, then create it anew")


def refuse_inhabited(situation: Situation) -> None:
    cascades = situation.site.cascades
    staying = [ref for ref in situation.inside if (situation.kind.name, ref.kind) not in cascades]
    _refuse_blocked(situation, staying, "it still holds {}; delete what is in it first")


def refuse_used(situation: Situation) -> None:
    _refuse_blocked(situation, situation.users, "it is in use by {}; delete or change that first")


def _refuse_blocked(situation: Situation, blockers: Sequence[Ref], says: str) -> None:
    """Names only what the caller may get."""
    if blockers:
        count = len(blockers)
        shown = islice(filter(situation.rights.sees, blockers), BLOCKERS_MAX)
        raise Conflict(
            says.format("one resource" if count == 1 else f"{count} resources"),
            meta={"blockers": [KINDS[ref.kind].urn(ref) for ref in shown], "count": count},
        )


def broken_rules(situation: Situation, old: Json | None, new: Json) -> list[Broken]:
    """Every rule that a wanted spec breaks. What it refers to is only asked for where there is a
    place for the resource: below a parent that is absent, nothing is there."""
    kind = situation.kind
    broken = [*_fixed(kind, old, new)]
    if kind.check:
        broken += kind.check(old, new, situation.around)
    if not any(parent is None or parent.going for parent in situation.parents.values()):
        broken += broken_zones(situation, old, new)
        broken += broken_references(situation, old, new)
    return broken


def _fixed(kind: Kind, old: Json | None, new: Json) -> Iterator[Broken]:
    for pointer in kind.immutable if old is not None else ():
        if at(old, pointer) != at(new, pointer):
            yield Broken("cannot change after creation; delete and create anew", f"/spec{pointer}")
    for pointer in kind.set_once if old is not None else ():
        former, wanted = at(old, pointer), at(new, pointer)
        if None not in (former, wanted) and former != wanted:
            yield Broken("can be set once only; delete and create anew", f"/spec{pointer}")
