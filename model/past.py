"""The past of a resource, for the checks after an append, folded event by event. Pure.

The checks compare a resource with itself before each change that no report answers, before its
deletion, and when it was last active. A `Past` is these states; it goes on from any event, so that
a long history is read once and not for every check.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from secaplane.model.actor import SYSTEM, Actor, SealedActor
from secaplane.model.bounded_cache import resource_bytes
from secaplane.model.events import (
    Created,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.evolve import evolve
from secaplane.model.position import Position
from secaplane.model.shape import Resource, State


class SpecChange(NamedTuple):
    """An intent that set or changed a spec: the state before it, and its position."""

    former: Resource | None
    """None where it created the resource. A `Past` leaves out its conditions: no check
    reads them."""
    since: Position
    """BEGINNING while it is not recorded."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The past of one life of a resource."""

    now: Resource
    """The resource after the last event that was taken."""
    changes: tuple[SpecChange, ...] = ()
    """The changes of its spec that no report answers, oldest first. An update by the control plane
    itself reverts what came before it, and nothing reverts that again: it ends them."""
    changes_bytes: int = 0
    """Of the states in `changes`, as `resource_bytes` estimates them."""
    active: Resource | None = None
    """The resource as its last report of `active` left it; None where there was none."""
    undeleted: Resource | None = None
    """The resource before its last deletion was requested."""
    deleted_by: Actor | SealedActor = SYSTEM
    """The actor of that request."""


def past_bytes(past: Past) -> int:
    """An estimate of the memory that a past takes."""
    states = {id(each): each for each in (past.now, past.active, past.undeleted) if each}
    return past.changes_bytes + sum(map(resource_bytes, states.values()))


def past_of(known: Resource) -> Past | None:
    """The past of a resource that is known without its history; None where it takes the history."""
    active = known.state is State.ACTIVE
    answered = known.observed_position >= known.last_intent
    if not answered or known.deleted_at or (known.was_active and not active):
        return None
    return Past(now=known, active=known if active else None)


def after_events(past: Past | None, history: Iterable[RecordedEvent]) -> Past | None:
    """The past after the events that follow it; None after no event at all."""
    for recorded in history:
        past = _after(past, recorded)
    return past


def _after(past: Past | None, recorded: RecordedEvent) -> Past:
    before = past.now if past else None
    now, event = evolve(before, recorded), recorded.event
    if past is None or before is None or isinstance(event, Created):
        return created(now)
    match event:
        case Updated() if recorded.actor == SYSTEM:
            return replace(past, now=now, changes=(), changes_bytes=0)
        case Updated():
            return updated(past, now)
        case DeletionRequested() if not before.deleted_at:
            return replace(past, now=now, undeleted=before, deleted_by=recorded.actor)
        case StatusReported():
            return _reported(past, now)
    return replace(past, now=now)


def created(now: Resource) -> Past:
    """The past of a resource that was just created."""
    return Past(now=now, changes=(SpecChange(None, now.last_intent),))


def updated(past: Past, now: Resource) -> Past:
    """The past after an update by a caller."""
    before = past.now
    if before.spec == now.spec:
        return replace(past, now=now)
    former = replace(before, conditions=())
    return replace(
        past,
        now=now,
        changes=(*past.changes, SpecChange(former, now.last_intent)),
        changes_bytes=past.changes_bytes + resource_bytes(former),
    )


def _reported(past: Past, now: Resource) -> Past:
    active = now if now.state is State.ACTIVE else past.active
    if now.observed_position == past.now.observed_position or not past.changes:
        return replace(past, now=now, active=active)
    waiting = tuple(each for each in past.changes if each.since > now.observed_position)
    weight = sum(resource_bytes(each.former) for each in waiting if each.former)
    return replace(past, now=now, active=active, changes=waiting, changes_bytes=weight)
