"""What to do next about one resource. Pure."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from secaplane.command.rules.quotas import QuotaViolation
from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.shape import Ref, Resource, State

TARGET_GONE = "made anew: it is being deleted, or gone; name another, or delete this"


class Step(Enum):
    ENSURE = "ensure"
    ACT = "act"
    """Ensure, and then do the action that is asked for."""
    REFRESH = "refresh"
    """It is finished; but what it follows may have changed what is found of it."""
    REMOVE = "remove"
    END = "end"
    """Delete what goes with it, before it goes itself."""
    TAKE_BACK = "take back"
    """It was created in something that was going already, or is over a quota, and the command died
    before it saw."""
    WAIT = "wait"
    REST = "rest"


class Plan(NamedTuple):
    step: Step
    waits_for: Ref | None = None
    until: str = "active"


class RelatedResources(msgspec.Struct, frozen=True):
    """What a plan may look at beside the resource; no more of it is fetched than the case needs."""

    parents: Mapping[Ref, Resource | None] = {}
    """As the leader has them, asked for after the resource's last event."""
    targets: Mapping[Ref, Resource | None] = {}
    """Likewise, what its strict references mean."""
    children: Sequence[Ref] = ()
    """What is not gone of what lies in it, for one that is to go."""
    ending: Sequence[Ref] = ()
    """What goes with it and does not know yet."""
    referrers: Sequence[Ref] = ()
    """What is not gone and holds it, for one that is to go."""
    over: QuotaViolation | None = None
    """What of it is over a quota, at a read model that knows its last intent."""


def plan(resource: Resource | None, around: RelatedResources) -> Plan:
    if resource is None:
        return Plan(Step.REST)
    kind = KINDS[resource.ref.kind]
    if not kind.unsettled(resource):
        followed = kind.is_dependent and resource.state is State.ACTIVE and not resource.terminating
        return Plan(Step.REFRESH if followed else Step.REST)
    if resource.deleted_at:
        return _going(around)
    if around.over is not None:  # before anything is said of it: what was seen was judged
        return Plan(Step.TAKE_BACK)
    new = never_active(resource)
    for ref, parent in around.parents.items() if new else ():
        if parent is None or parent.terminating:
            return Plan(Step.TAKE_BACK)
        if never_active(parent):
            return Plan(Step.WAIT, ref)
    for ref, target in around.targets.items():
        # What was active once goes on without a target that is gone: nothing but a change of the
        # reference asks for it again (CONTRACT: References).
        absent = target is None or target.terminating
        if new if absent or target is None else never_active(target):
            return Plan(Step.WAIT, ref, TARGET_GONE if absent else "active")
    unserved = resource.power.requested > resource.power.completed
    return Plan(Step.ACT if unserved else Step.ENSURE)


def _going(around: RelatedResources) -> Plan:
    if around.ending:
        return Plan(Step.END, around.ending[0])
    held_up = [*around.children, *around.referrers]
    return Plan(Step.WAIT, held_up[0], "gone") if held_up else Plan(Step.REMOVE)


def never_active(resource: Resource) -> bool:
    """SKUs and regions are what they are from the beginning."""
    if KINDS[resource.ref.kind].backing is Backing.CATALOGUE:
        return False
    return not resource.was_active
