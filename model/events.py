"""The six things that can happen to a resource, and the record each leaves in the log.

Four are intent, written for a caller; two are report, written by a reconciler. Intent never
touches what was found and report never touches what is wanted: two pens, two halves of one page.
"""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Annotations, Extensions, Json, Labels, Ref, State


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
    """The caller that caused an event, where the request came from, and why it was allowed: for
    readers of history (C5:2026 PSS-04.03B, OCSF `src_endpoint`), never for `evolve`."""

    issuer: str = ""
    sub: str
    token: str = ""
    """The token's id (`jti`), never the token."""
    groups: tuple[str, ...] = ()
    assignment: str = ""
    """The role assignment, and the role in it, that allowed the command."""
    policy: Position = BEGINNING
    """The revision of the authorization policy that the command was judged at."""
    client_address: str = ""
    """The address of the client, through trusted proxies."""
    user_agent: str = ""
    """At most 256 printable characters."""
    traceparent: str = ""
    """W3C Trace Context, if the client sent one."""


SealedActor = str
"""An encrypted actor: whoever has no key sees only that there was one."""

SYSTEM = Actor(sub="system")
RECONCILER = Actor(sub="reconciler")
OWN_SUBS = (SYSTEM.sub, RECONCILER.sub)
"""Subs that no token may name, so that history never shows a caller as the control plane itself."""


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place: which resource and life, where in the log, when, why and by whom."""

    ref: Ref
    uid: str
    tenant: str = ""
    """The uid of the life of the tenant that contains the resource; empty where there is none."""
    position: Position
    time: datetime
    request: str
    """Unique to the command that caused the event."""
    cause: Position = BEGINNING
    """The position of the event that led to this one; BEGINNING where a caller did."""
    previous: Position
    """The position of the resource's event before this one, which the command was decided on;
    BEGINNING for the first event of a name. Who has seen that one needs no history to go on."""
    actor: Actor | SealedActor
    event: AnyEvent

    @property
    def sub(self) -> str:
        """The sub of the actor; empty where the actor is sealed."""
        return self.actor.sub if isinstance(self.actor, Actor) else ""
