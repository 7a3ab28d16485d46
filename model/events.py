"""The seven event types of every resource, and the envelope in which the log keeps an event.

Intent events record desired state and are caused by callers; report events record observed status
and are caused by reconcilers. `evolve` derives state and conditions from both. `Closed` is neither:
it ends a history that cannot be read."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.actor import Actor, SealedActor
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Annotations, Extensions, Json, Labels, Ref, State


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about one resource, named in the past tense."""


class DesiredState(Event, frozen=True):
    """The desired state as a whole, as a PUT sends it."""

    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class Created(DesiredState, frozen=True):
    """Intent: a life of this name begins."""


class Updated(DesiredState, frozen=True):
    """Intent: this desired state replaces the former one. Of a terminating resource, only the
    control plane records it: the deletion is reverted."""


class ActionRequested(Event, frozen=True):
    """Intent: an instance is to start, stop or restart (`model.power`)."""

    action: str


class DeletionRequested(Event, frozen=True):
    """Intent: the resource is to be removed; from here on it is terminating."""


class StatusReported(Event, frozen=True):
    """Report: the status of the resource in the cloud."""

    state: State
    observed_position: Position  # that the reconciler acted on (Kubernetes: observedGeneration)
    status: Json = {}
    reason: str = ""
    message: str = ""


class Deleted(Event, frozen=True):
    """Report: the resource is removed from the cloud, and its life has ended."""


class Closed(Event, frozen=True):
    """The end of a history that cannot be read: its resource is gone from here on, and the name can
    be used again. The cloud was not asked: it may still hold the resource (docs/decisions/040)."""

    since: Position  # of the first event that is left out; every event from there to here is
    version: int  # of the name from here on: no event that is left out had a greater one
    reason: str = ""


Intent = Created | Updated | ActionRequested | DeletionRequested
Report = StatusReported | Deleted
AnyEvent = Intent | Report | Closed


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the log, in its envelope."""

    ref: Ref
    uid: str  # of the life of the resource
    tenant: str = ""  # uid of the life of the tenant that contains it; empty outside of tenants
    position: Position
    time: datetime
    request: str  # unique to the command: identifies its event when the answer was lost
    cause: Position = BEGINNING  # of the event that led to this one; BEGINNING: a caller did
    previous: Position  # that was decided on: the append expects it (optimistic concurrency)
    actor: Actor | SealedActor
    event: AnyEvent
    erased: bool = False  # its contents are gone with their key: `event` has none

    @property
    def sub(self) -> str:
        return self.actor.sub if isinstance(self.actor, Actor) else ""
