"""Reports that repeat the present state: a part of `evolve`. Pure.

Most of them only explain the newest condition. Reports about drift add a condition: one when the
cloud was found to differ from what the log says, and one when it does so no more.
"""

from msgspec import UNSET
from msgspec.structs import replace

from secaplane.model.closing import CONDITIONS_MAX
from secaplane.model.events import StatusReported
from secaplane.model.shape import Condition, Resource

DRIFT = "DriftDetected"
"""The type of the conditions about drift; their reasons:"""
ABSENT, DIFFERS, OVER = "AbsentInCloud", "DiffersInCloud", "DriftOver"


def explained(now: Resource, event: StatusReported) -> Resource:
    """The newest condition takes the report's reason and message; one that has a type keeps its own
    reason, such as `turningOn`."""
    if event.reason in (ABSENT, DIFFERS, OVER):
        entry = Condition(
            state=now.state,
            last_transition_at=now.time,
            type=DRIFT,
            reason=event.reason,
            message=event.message or UNSET,
        )
        return replace(now, conditions=(entry, *now.conditions)[:CONDITIONS_MAX])
    newest, *older = now.conditions
    if newest.type is not UNSET:
        newest = replace(newest, message=event.message or newest.message)
    elif event.reason or event.message:
        newest = replace(newest, reason=event.reason or UNSET, message=event.message or UNSET)
    return replace(now, conditions=(newest, *older))


def open_drift(resource: Resource) -> str:
    """The reason of the drift that was reported and is not over; empty where there is none."""
    newest = next((each for each in resource.conditions if each.type == DRIFT), None)
    if newest is None or newest.reason is UNSET or newest.reason == OVER:
        return ""
    return str(newest.reason)
