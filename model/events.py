"""The six things that can happen to a resource, and the record each leaves in the log.

Four are intent, written for a caller; two are report, written by a reconciler. Intent never
touches what was found and report never touches what is wanted: two pens, two halves of one page.
"""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.shape import (
    BEGINNING,
    Annotations,
    Extensions,
    Json,
    Labels,
    Position,
    Ref,
    State,
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in the past tense."""


class Created(Event, frozen=True):
    """It shall be so."""

    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class Updated(Event, frozen=True):
    """It shall be so from now on; a PUT replaces the whole."""

    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class ActionRequested(Event, frozen=True):
    """Start, stop or restart it."""

    action: str


class DeletionRequested(Event, frozen=True):
    """It shall go."""


class StatusReported(Event, frozen=True):
    """It is so, as of the position the reconciler had in view."""

    state: State
    observed_position: Position
    status: Json = {}
    reason: str = ""
    message: str = ""


class Deleted(Event, frozen=True):
    """It is gone."""


Intent = Created | Updated | ActionRequested | DeletionRequested
Report = StatusReported | Deleted
AnyEvent = Intent | Report


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who caused an event, and why it was allowed: for readers of history, never for `evolve`."""

    issuer: str = ""
    sub: str
    token: str = ""
    """The token's id (`jti`), never the token."""
    assignment: str = ""
    """The role assignment, and the role in it, that allowed it."""
    policy: int = 0
    """The policy revision it was judged at: a position."""


SYSTEM = Actor(sub="system")
RECONCILER = Actor(sub="reconciler")
OWN_SUBS = (SYSTEM.sub, RECONCILER.sub)
"""Nobody else is called so: who reads the history shall not mistake anybody for the house."""


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its place: which resource and life, where in the log, when, why and by whom."""

    ref: Ref
    uid: str
    position: Position
    time: datetime
    request: str
    """Unique to the command that caused it."""
    cause: Position = BEGINNING
    """The position that led to it; 0 where a caller did."""
    actor: Actor
    event: AnyEvent
    previous: Position | None = None
    """The resource's position before this event, where the log knows: whoever has seen that one
    needs no history to go on. 0 says that it is the first event of its name."""
