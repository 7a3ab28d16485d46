"""Power of an instance: a desired level (on, off), not a queue of actions. The one place that knows
actions by name.
"""

from collections.abc import Mapping
from typing import NamedTuple

from secaplane.model.shape import Power, PowerState


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
