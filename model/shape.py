"""The shapes every resource shares: where it lies, what is wanted, what was found."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.model.position import BEGINNING, Position

Json = dict[str, Any]
Labels = dict[str, Annotated[str, Meta(max_length=63)]]
Annotations = dict[str, Annotated[str, Meta(max_length=1024)]]
Extensions = dict[str, str]
PowerState = Literal["on", "off"]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A value as it travels: immutable here, camelCase outside, absent when UNSET."""


class State(StrEnum):
    """One word for how a resource is (SECA `ResourceState`)."""

    PENDING = "pending"
    CREATING = "creating"
    ACTIVE = "active"
    UPDATING = "updating"
    DELETING = "deleting"
    ERROR = "error"


AT_REST = frozenset({State.ACTIVE, State.ERROR})


class Condition(Wire, frozen=True):
    """One dated remark in a status: a transition, and what was said of it."""

    state: State
    last_transition_at: datetime
    type: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Status(Wire, frozen=True):
    """What kinds add to by subclassing: the fields a plugin reports. State and conditions are not
    among them, because nobody reports those: `evolve` derives them."""


class Reference(Wire, frozen=True):
    """An address as a user wrote it, perhaps partial; kept verbatim (SECA `Reference`)."""

    resource: Annotated[str, Meta(min_length=1, max_length=256)]
    provider: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    tenant: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    workspace: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    region: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class PartStatus(Wire, frozen=True):
    """How one part of a resource is, where each has a status of its own: a route, a rule (SECA
    `Status`)."""

    state: State
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=32)]


Zone = Annotated[str, Meta(min_length=1, max_length=32)]


class Ref(msgspec.Struct, frozen=True, order=True):
    """The full address of one resource: its kind, and its path below the provider."""

    kind: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def collection(self) -> str:
        return self.path.rpartition("/")[0]

    def scope(self, segment: str) -> str:
        """The id that follows `segment` in the path: `scope("tenants")`; empty if there is none."""
        steps = self.path.split("/")
        pairs = dict(zip(steps[::2], steps[1::2], strict=False))
        return pairs.get(segment, "")


class Power(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Power is a level, not a queue: what is intended, and the last action that asked for it."""

    desired: PowerState = "off"
    requested: Position = BEGINNING
    """Position of the last action; the idempotency key under which a plugin acts."""
    restart_requested: Position = BEGINNING
    """Position of the last restart asked for."""
    completed: Position = BEGINNING
    """Position of the last action that was done; one that was refused waits for the next intent."""
    since: datetime | None = None
    """When an action was last served."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What one resource is, once its history is folded."""

    ref: Ref
    uid: str
    """Which life of this name; a name used again begins another."""
    tenant: str = ""
    """The uid of the life of the tenant that contains it; empty where there is none."""
    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET
    state: State = State.PENDING
    conditions: tuple[Condition, ...] = ()
    """Newest first."""
    observed: Json = {}
    """The kind's own status fields, as last reported."""
    power: Power = Power()
    version: int
    position: Position
    """Of the last event, of any sort."""
    time: datetime
    """Of the last event."""
    events: int = 1
    """How many events this name's history holds, all lives counted."""
    life: Position
    """Position of the `Created` that began this life."""
    created_at: datetime
    modified_at: datetime
    deleted_at: datetime | None = None
    gone: bool = False
    was_active: bool = False
    """At any time in this life, however long ago."""
    last_intent: Position
    """Of the last intent."""
    observed_position: Position = BEGINNING
    """The latest position a report had in view."""

    @property
    def unsettled(self) -> bool:
        """What is wanted and what was found do not agree yet."""
        return not self.gone and (
            self.observed_position < self.last_intent or self.state not in AT_REST
        )

    @property
    def terminating(self) -> bool:
        return self.gone or self.deleted_at is not None
