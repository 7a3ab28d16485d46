"""Power is a level: what each action asks for, and what it needs. The one place that knows them by
name."""

from collections.abc import Mapping
from typing import NamedTuple

from secaplane.model.shape import Power, PowerState


class Action(NamedTuple):
    needs: PowerState
    """The level that must be intended before."""
    leads_to: PowerState
    again: bool = False
    """It passes through off on the way."""


ACTIONS: Mapping[str, Action] = {
    "start": Action("off", "on"),
    "stop": Action("on", "off"),
    "restart": Action("on", "on", again=True),
}


def pending_action(power: Power) -> str:
    """The action that brings about what is intended; what was asked for meanwhile and overtaken is
    not done."""
    again = power.desired == "on" and power.restart_requested > power.completed
    return next(
        name
        for name, action in ACTIONS.items()
        if (action.leads_to, action.again) == (power.desired, again)
    )
