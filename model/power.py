"""Power of an instance: a desired level (on, off), not a queue of actions. The one place that knows
actions by name.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from secaplane.model.shape import SETTLED_STATES, Condition, Power, PowerState

POWER = "powerState"
"""The type of the conditions that actions add; their reasons:"""
TURNING: Mapping[PowerState, str] = {"on": "turningOn", "off": "turningOff"}
TURNED: Mapping[PowerState, str] = {"on": "turnedOn", "off": "turnedOff"}


class Action(NamedTuple):
    """An action that a POST can request."""

    needs: PowerState
    """The desired power that it requires; otherwise the request is refused."""
    leads_to: PowerState
    """The desired power that it sets."""
    restarts: bool = False
    """True: the power is off in between."""


ACTIONS: Mapping[str, Action] = {
    "start": Action("off", "on"),
    "stop": Action("on", "off"),
    "restart": Action("on", "on", restarts=True),
}


def pending_action(power: Power) -> str:
    """The action that leads to the desired power. Actions requested since the last completed one
    and superseded are skipped."""
    restarts = power.desired == "on" and power.restart_requested > power.completed
    return next(
        name
        for name, action in ACTIONS.items()
        if (action.leads_to, action.restarts) == (power.desired, restarts)
    )


def waiting_restarts(power: Power, conditions: Sequence[Condition]) -> int:
    """The restarts that are done as one, at least 1: each accepted one has two conditions, when it
    was accepted and when it was done."""
    if power.restart_requested != power.requested:
        return 1
    unanswered = takewhile(lambda each: each.state not in SETTLED_STATES, conditions)
    reasons = (each.reason for each in unanswered if each.type == POWER)
    return max(1, sum(1 for _ in takewhile(lambda reason: reason == TURNING["off"], reasons)))
