"""The rules. Pure: a situation and a command go in; an event, nothing, or a refusal comes out.

Order of judgement: schema and business rules first, then the caller's precondition, then state.
"""

from typing import Any

from msgspec import UNSET

from command.commands import Act, Command, ConfirmDeleted, Delete, Put, ReportStatus
from command.situation import Situation
from kinds import KINDS
from model.errors import Broken, Conflict, NotFound, Outdated, refuse_broken
from model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from model.kind import Kind
from model.pointer import at
from model.shape import Json, PowerState, Resource, State

BLOCKERS_MAX = 10
NEEDS: dict[str, PowerState] = {"start": "off", "stop": "on", "restart": "on"}


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


def put(situation: Situation, command: Put) -> AnyEvent:
    resource = situation.resource
    refuse_broken(broken_rules(situation.kind, resource.spec if resource else None, command.spec))
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
        return Created(**wanted)
    refuse_going(resource)
    return Updated(**wanted)


def act(situation: Situation, command: Act) -> AnyEvent:
    resource = present(situation)
    refuse_outdated(resource, command.expected)
    refuse_going(resource)
    needed = NEEDS.get(command.action)
    if needed is not None and resource.power.intended != needed:
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
    resource = present(situation)
    refuse_outdated(resource, command.expected)
    if resource.deleted_at and resource.state is not State.ERROR:
        return None
    refuse_inhabited(situation)
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
        if parent.going and situation.resource is None:
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
    inside = situation.inside
    if inside:
        raise Conflict(
            f"it still holds {len(inside)}, {inside[0].kind} {inside[0].name} first; delete them",
            meta={
                "blockers": [KINDS[ref.kind].urn(ref) for ref in inside[:BLOCKERS_MAX]],
                "count": len(inside),
            },
        )


def broken_rules(kind: Kind, old: Json | None, new: Json) -> list[Broken]:
    fixed = [
        Broken("cannot change after creation; delete and create anew", f"/spec{pointer}")
        for pointer in kind.immutable
        if old is not None and at(old, pointer) != at(new, pointer)
    ]
    return fixed + (list(kind.check(old, new)) if kind.check else [])
