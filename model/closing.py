"""The state after a history that cannot be read was closed: a part of `evolve`. Pure."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.shape import Condition, Moment, Resource, State

CLOSED = "Closed"
"""The reason of the last condition of a resource whose history was closed."""
CONDITIONS_MAX = 32


def closed(former: Resource | None, recorded: RecordedEvent, event: Closed) -> Resource:
    """Total: where nothing before it could be read, what is left has version 0 and no events, so
    that the next life begins as if the name had never been used."""
    position, time = recorded.position, recorded.time
    if former is None:
        return Resource(
            ref=recorded.ref,
            uid=recorded.uid,
            tenant=recorded.tenant,
            spec={},
            state=State.DELETING,
            version=0,
            position=position,
            time=time,
            events=0,
            life=position,
            last_intent=position,
            created_at=time,
            modified_at=time,
            deleted_at=time,
            gone=True,
        )
    now = replace(
        former,
        position=position,
        time=time,
        events=former.events + 1,
        version=max(former.version, event.version),
        gone=True,
    )
    if former.gone:
        return now
    last = Condition(
        state=State.DELETING, last_transition_at=time, reason=CLOSED, message=event.reason
    )
    return replace(
        now,
        state=State.DELETING,
        conditions=(last, *now.conditions)[:CONDITIONS_MAX],
        deleted_at=former.deleted_at or time,
        modified_at=time,
        last_intent=position,
    )


def former_end(former: Resource | None, created: RecordedEvent) -> Moment | UnsetType:
    """The end of the life before a creation. Of one that could not be read only the position is
    known; its time is not later than the creation's."""
    if former is not None and former.version:
        return Moment(former.position, former.time)
    return Moment(created.previous, created.time) if created.previous else UNSET
