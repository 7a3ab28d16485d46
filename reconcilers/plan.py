"""The next step for one resource, from its state and the related resources. Pure."""

from collections.abc import Container, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from secaplane.command.rules.commands import Violation
from secaplane.command.rules.quotas import QuotaViolation
from secaplane.kinds import KINDS
from secaplane.model.errors import BrokenRule
from secaplane.model.explained import open_drift
from secaplane.model.kind import Backing
from secaplane.model.shape import SETTLED_STATES, Ref, Resource, State

TARGET_GONE = "created again: it is being deleted or gone; reference another, or delete this"


class Step(Enum):
    NOTHING = "nothing"
    ENSURE = "ensure"
    ACT = "act"
    """Ensure, then perform the requested action."""
    REFRESH = "refresh"
    """Ensure a settled resource, because a target that its status depends on may have changed, or
    the cloud was found to differ from what the log says."""
    REMOVE = "remove"
    CASCADE = "cascade"
    """Delete what is deleted with it, before it is removed itself."""
    REVERT = "revert"
    """Append the compensating command of a write that must not stand (its parent was terminating, a
    rule about other resources or a quota is broken): the process that accepted it died before its
    second check."""
    REFUSE = "refuse"
    """Report an error without a call: a rule about its targets is broken that could not be judged
    when the write was accepted."""
    WAIT = "wait"


class Plan(NamedTuple):
    step: Step
    waits_for: Ref | None = None
    until: str = "active"


class RelatedResources(msgspec.Struct, frozen=True):
    """Input of a plan besides the resource; only what the case needs is loaded."""

    parents: Mapping[Ref, Resource | None] = {}
    """As the log has them at the resource's last event, or later."""
    targets: Mapping[Ref, Resource | None] = {}
    """Likewise, the targets of its strict references."""
    children: Sequence[Ref] = ()
    """Of a terminating resource: the resources contained in it that are not gone."""
    ending: Sequence[Ref] = ()
    """Of a terminating resource: those deleted with it that are not terminating yet."""
    referrers: Sequence[Ref] = ()
    """Of a terminating resource: the referrers that block its removal and are not gone."""
    over: QuotaViolation | None = None
    """The quota it exceeds, according to a read model that has its last intent."""
    violation: Violation | None = None
    """The rule about other resources that its last intents break."""
    read: frozenset[Ref] = frozenset()
    """Those of its parents and targets that its rules read."""
    broken: Sequence[BrokenRule] = ()
    """The rules about them that it breaks, as they are now."""


def plan(
    resource: Resource | None, related: RelatedResources, *, repaired: Container[str] = ()
) -> Plan:
    """`repaired`: the kinds whose drift is repaired."""
    if resource is None:
        return Plan(Step.NOTHING)
    kind = KINDS[resource.ref.kind]
    if not kind.unsettled(resource):
        due = kind.is_dependent or (kind.name in repaired and bool(open_drift(resource)))
        states = SETTLED_STATES if kind.fails_with_target else (State.ACTIVE,)
        refresh = due and resource.state in states and not resource.terminating
        return Plan(Step.REFRESH if refresh else Step.NOTHING)
    if related.violation is not None:
        return Plan(Step.REVERT)
    if resource.deleted_at:
        return _plan_deletion(related)
    if related.over is not None:  # before the first report: what was observed counts as checked
        return Plan(Step.REVERT)
    waiting = _parent_step(resource, related) or _target_step(resource, related)
    if waiting is not None:
        return waiting
    if related.broken:
        return Plan(Step.REFUSE)
    action_due = resource.power.requested > resource.power.completed
    return Plan(Step.ACT if action_due else Step.ENSURE)


def _parent_step(resource: Resource, related: RelatedResources) -> Plan | None:
    for ref, parent in related.parents.items() if never_active(resource) else ():
        if parent is None or parent.terminating:
            return Plan(Step.REVERT)
        if never_active(parent):
            return Plan(Step.WAIT, ref)
    return None


def _target_step(resource: Resource, related: RelatedResources) -> Plan | None:
    """A resource that was active once continues without a target that is gone: only a change of the
    reference requires it again (docs/reference/api.md). A new one waits until what its rules read
    is settled."""
    new = never_active(resource)
    for ref, target in related.targets.items():
        absent = target is None or target.terminating
        if new if absent or target is None else never_active(target):
            return Plan(Step.WAIT, ref, TARGET_GONE if absent else "active")
    for ref in related.read if new else ():
        other = related.parents.get(ref) or related.targets.get(ref)
        if other is not None and other.unsettled:
            return Plan(Step.WAIT, ref)
    return None


def _plan_deletion(related: RelatedResources) -> Plan:
    if related.ending:
        return Plan(Step.CASCADE, related.ending[0])
    blockers = [*related.children, *related.referrers]
    return Plan(Step.WAIT, blockers[0], "gone") if blockers else Plan(Step.REMOVE)


def never_active(resource: Resource) -> bool:
    """False for SKUs and regions: they are usable as soon as they are recorded."""
    if KINDS[resource.ref.kind].backing is Backing.CATALOGUE:
        return False
    return not resource.was_active
