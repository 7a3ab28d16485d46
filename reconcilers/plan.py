"""What to do next about one resource. Pure."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from kinds import KINDS
from model.shape import Ref, Resource, State


class Step(Enum):
    ENSURE = "ensure"
    ACT = "act"
    """Ensure, and then do the action that is asked for."""
    REMOVE = "remove"
    TAKE_BACK = "take back"
    """It was created in something that was going already, by a command that died before it saw."""
    WAIT = "wait"
    REST = "rest"


class Plan(NamedTuple):
    step: Step
    waits_for: Ref | None = None


def plan(
    resource: Resource | None,
    parents: Mapping[Ref, Resource | None],
    inside: Sequence[Ref],
) -> Plan:
    """`parents`: as the leader has them, asked for after the resource's last event, for a resource
    that never was active; `inside`: what is not gone of what lies in it, for one that is to go."""
    if resource is None or not KINDS[resource.ref.kind].unfinished(resource):
        return Plan(Step.REST)
    if resource.deleted_at:
        return Plan(Step.WAIT, inside[0]) if inside else Plan(Step.REMOVE)
    for ref, parent in parents.items():
        if parent is None or parent.going:
            return Plan(Step.TAKE_BACK)
        if never_active(parent):
            return Plan(Step.WAIT, ref)
    unserved = resource.power.asked > resource.power.served
    return Plan(Step.ACT if unserved else Step.ENSURE)


def never_active(resource: Resource) -> bool:
    return all(condition.state is not State.ACTIVE for condition in resource.conditions)


def action(resource: Resource) -> str:
    """Power is a level: what was asked for meanwhile and overtaken is not done."""
    power = resource.power
    if power.intended == "off":
        return "stop"
    return "restart" if power.restarted > power.served else "start"
