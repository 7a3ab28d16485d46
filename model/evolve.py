"""How events become a resource. Pure, total over the six events, and the only place that knows.

State and conditions belong to neither pen: they are derived here, from the events alone.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from secaplane.model.events import (
    ActionRequested,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.power import ACTIONS
from secaplane.model.shape import AT_REST, Condition, PowerState, Resource, State

CONDITIONS_MAX = 32
POWER = "powerState"
TURNING: dict[PowerState, str] = {"on": "turningOn", "off": "turningOff"}
TURNED: dict[PowerState, str] = {"on": "turnedOn", "off": "turnedOff"}


def fold(history: Iterable[RecordedEvent], resource: Resource | None = None) -> Resource | None:
    return reduce(evolve, history, resource)


def evolve(resource: Resource | None, recorded: RecordedEvent) -> Resource:
    event = recorded.event
    if isinstance(event, Created):
        return _created(resource, recorded, event)
    assert resource is not None, f"{type(event).__name__} before Created on {recorded.ref}"
    here = replace(
        resource, position=recorded.position, time=recorded.time, events=resource.events + 1
    )
    match event:
        case StatusReported():
            return _reported(here, recorded, event)
        case Deleted():
            return replace(here, gone=True)
        case Updated():
            wanted = _wanted(event)
            return _intended(here, recorded, Condition(**_plain(State.UPDATING, recorded)), wanted)
        case ActionRequested(action=action):
            return _acted(here, recorded, action)
        case DeletionRequested():
            terminating = {"deleted_at": here.deleted_at or recorded.time}
            return _intended(
                here, recorded, Condition(**_plain(State.DELETING, recorded)), terminating
            )


def _created(former: Resource | None, recorded: RecordedEvent, event: Created) -> Resource:
    """A name used again starts a new life but goes on counting versions, so that an old client's
    version can never match the new life."""
    return Resource(
        ref=recorded.ref,
        uid=recorded.uid,
        tenant=recorded.tenant,
        **_wanted(event),
        conditions=(Condition(**_plain(State.PENDING, recorded)),),
        version=former.version + 1 if former else 1,
        position=recorded.position,
        time=recorded.time,
        events=former.events + 1 if former else 1,
        life=recorded.position,
        last_intent=recorded.position,
        created_at=recorded.time,
        modified_at=recorded.time,
    )


def _wanted(event: Created | Updated) -> dict[str, Any]:
    return {
        "spec": event.spec,
        "labels": event.labels,
        "annotations": event.annotations,
        "extensions": event.extensions,
    }


def _plain(state: State, recorded: RecordedEvent) -> dict[str, Any]:
    return {"state": state, "last_transition_at": recorded.time}


def _intended(
    here: Resource, recorded: RecordedEvent, condition: Condition, changes: dict[str, Any]
) -> Resource:
    """What every intent moves: version, time of modification, the position to be seen."""
    return replace(
        here,
        version=here.version + 1,
        modified_at=recorded.time,
        last_intent=recorded.position,
        state=condition.state,
        conditions=(condition, *here.conditions)[:CONDITIONS_MAX],
        **changes,
    )


def _acted(here: Resource, recorded: RecordedEvent, name: str) -> Resource:
    action = ACTIONS[name]
    power = replace(here.power, desired=action.leads_to, requested=recorded.position)
    if action.again:
        power = replace(power, restart_requested=recorded.position)
    remark = TURNING["off" if action.again else action.leads_to]
    condition = Condition(**_plain(State.UPDATING, recorded), type=POWER, reason=remark)
    return _intended(here, recorded, condition, {"power": power})


def _reported(here: Resource, recorded: RecordedEvent, event: StatusReported) -> Resource:
    """Its fields are taken whatever it had in view; state and conditions move only when the report
    answers the last intent, and nothing but a refusal changes what is being deleted."""
    seen = max(here.observed_position, event.observed_position)
    now = replace(here, observed=event.status, observed_position=seen)
    if event.observed_position < here.last_intent:
        return now
    if here.deleted_at and event.state not in (State.ERROR, here.state):
        return now
    if event.state is here.state:
        return replace(now, conditions=_remarked(now.conditions, event))
    steps = _transitions(here.state, event.state)
    entries = [Condition(**_plain(state, recorded)) for state in steps]
    entries[0] = _said(entries[0], event)
    power = here.power
    if power.requested > power.completed and event.state is State.ACTIVE:
        power = replace(power, completed=power.requested, since=recorded.time)
        entries[0] = replace(entries[0], type=POWER, reason=TURNED[power.desired])
    conditions = (*entries, *here.conditions)[:CONDITIONS_MAX]
    return replace(
        now,
        state=event.state,
        conditions=conditions,
        power=power,
        was_active=now.was_active or event.state is State.ACTIVE,
    )


def _transitions(old: State, new: State) -> tuple[State, ...]:
    """Newest first. What settles at once has been creating on the way."""
    return (new, State.CREATING) if old is State.PENDING and new in AT_REST else (new,)


def _remarked(conditions: tuple[Condition, ...], event: StatusReported) -> tuple[Condition, ...]:
    """No transition: a resource that waits says for what in its newest entry, and adds none."""
    newest = conditions[0]
    if newest.type is UNSET:
        return (_said(newest, event), *conditions[1:])
    # What it says of itself, such as `turningOn`, it goes on saying.
    return (replace(newest, message=event.message or newest.message), *conditions[1:])


def _said(condition: Condition, event: StatusReported) -> Condition:
    if not event.reason and not event.message:
        return condition
    return replace(condition, reason=event.reason or UNSET, message=event.message or UNSET)
