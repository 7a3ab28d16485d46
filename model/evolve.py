"""`evolve`: former state of a resource + one recorded event -> its current state. Pure, total over
the seven event types, and the only place where state and conditions are derived.

Intent moves the desired state, `version` and `last_intent`; a report moves the observed status and
`observed_position`. State and conditions follow from both (docs/reference/api.md). The actor of an
event counts only for `author`."""

from collections.abc import Iterable
from functools import reduce

from msgspec.structs import asdict, replace

from secaplane.model.authors import author_after
from secaplane.model.closing import CONDITIONS_MAX, closed, former_end
from secaplane.model.events import (
    ActionRequested,
    Closed,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.explained import explained
from secaplane.model.power import ACTIONS, POWER, TURNED, TURNING, waiting_restarts
from secaplane.model.shape import SETTLED_STATES, Condition, Resource, State


def fold(history: Iterable[RecordedEvent], resource: Resource | None = None) -> Resource | None:
    """The state after a whole history, or after the events that follow a known state."""
    return reduce(evolve, history, resource)


def evolve(resource: Resource | None, recorded: RecordedEvent) -> Resource:
    event, position, time = recorded.event, recorded.position, recorded.time
    if isinstance(event, Created):
        return _created(resource, recorded, event)
    if isinstance(event, Closed):
        return closed(resource, recorded, event)
    assert resource is not None, f"{type(event).__name__} before Created on {recorded.ref}"
    now = replace(resource, position=position, time=time, events=resource.events + 1)
    match event:
        case Updated():
            # An update of a terminating resource reverts its deletion (`command.post_append`).
            author = author_after(resource, recorded)
            return replace(
                _intended(now, State.UPDATING), deleted_at=None, **asdict(event), author=author
            )
        case ActionRequested():
            return _action_requested(now, event.action)
        case DeletionRequested():
            return replace(_intended(now, State.DELETING), deleted_at=now.deleted_at or time)
        case StatusReported():
            return _reported(now, event)
        case Deleted():
            return replace(now, gone=True)


def _created(former: Resource | None, recorded: RecordedEvent, event: Created) -> Resource:
    """A name used again begins a new life, but its version goes on: an ETag of the former life
    never matches the new one."""
    position, time = recorded.position, recorded.time
    return Resource(
        ref=recorded.ref,
        uid=recorded.uid,
        tenant=recorded.tenant,
        **asdict(event),
        conditions=(Condition(state=State.PENDING, last_transition_at=time),),
        version=former.version + 1 if former else 1,
        position=position,
        time=time,
        events=former.events + 1 if former else 1,
        life=position,
        former_end=former_end(former, recorded),
        author=author_after(None, recorded),
        last_intent=position,
        created_at=time,
        modified_at=time,
    )


def _conditions(now: Resource, state: State, **details: str) -> tuple[Condition, ...]:
    """The conditions with a new one on top, for a transition to `state`."""
    condition = Condition(state=state, last_transition_at=now.time, **details)
    return (condition, *now.conditions)[:CONDITIONS_MAX]


def _intended(now: Resource, state: State, **details: str) -> Resource:
    """An intent event after the first: the state leaves `active` in the same step, so that no
    reader takes the former status for the answer to the new desired state."""
    return replace(
        now,
        version=now.version + 1,
        modified_at=now.time,
        last_intent=now.position,
        state=state,
        conditions=_conditions(now, state, **details),
    )


def _action_requested(now: Resource, name: str) -> Resource:
    action = ACTIONS[name]
    power = replace(now.power, desired=action.leads_to, requested=now.position)
    if action.restarts:
        power = replace(power, restart_requested=now.position)
    turning = TURNING["off" if action.restarts else action.leads_to]
    return replace(_intended(now, State.UPDATING, type=POWER, reason=turning), power=power)


def _reported(now: Resource, event: StatusReported) -> Resource:
    """Status fields are always taken. State and conditions move only if the reconciler acted on the
    newest intent, and of a terminating resource only to `error`."""
    outdated = event.observed_position < now.last_intent
    observed_position = max(now.observed_position, event.observed_position)
    now = replace(now, observed=event.status, observed_position=observed_position)
    if outdated or (now.deleted_at and event.state not in (State.ERROR, now.state)):
        return now
    return explained(now, event) if event.state is now.state else _transitioned(now, event)


def _transitioned(now: Resource, event: StatusReported) -> Resource:
    if now.state is State.PENDING and event.state in SETTLED_STATES:
        now = replace(now, conditions=_conditions(now, State.CREATING))  # too fast for a report
    details = {k: v for k, v in (("reason", event.reason), ("message", event.message)) if v}
    active, power, answered = event.state is State.ACTIVE, now.power, 1
    if active and power.requested > power.completed:
        power = replace(power, completed=power.requested, since=now.time)
        details |= {"type": POWER, "reason": TURNED[power.desired]}
        answered = waiting_restarts(power, now.conditions)
    for _ in range(answered):
        now = replace(now, conditions=_conditions(now, event.state, **details))
    return replace(now, state=event.state, power=power, was_active=now.was_active or active)
