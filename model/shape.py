"""Shapes that all resources share: address, desired state, observed status, conditions. Pure."""

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
    """A value of the API: immutable, camelCase in JSON, left out of JSON when UNSET."""


class State(StrEnum):
    """The summary of a resource (SECA `ResourceState`), derived by `evolve`."""

    PENDING = "pending"
    CREATING = "creating"
    ACTIVE = "active"
    UPDATING = "updating"
    DELETING = "deleting"
    ERROR = "error"


SETTLED_STATES = frozenset({State.ACTIVE, State.ERROR})


class Condition(Wire, frozen=True):
    """One transition in a status, with its time and its reason (SECA `StatusCondition`)."""

    state: State
    last_transition_at: datetime
    type: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Status(Wire, frozen=True):
    """The status fields that a plugin reports; kinds add theirs by subclassing. State and
    conditions are not among them: `evolve` derives them."""


class Reference(Wire, frozen=True):
    """A reference to a resource, perhaps partial, kept as the user wrote it (SECA `Reference`)."""

    resource: Annotated[str, Meta(min_length=1, max_length=256)]
    provider: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    tenant: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    workspace: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    region: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class PartStatus(Wire, frozen=True):
    """The status of one part of a resource, such as a route or a rule (SECA `Status`)."""

    state: State
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=32)]


Zone = Annotated[str, Meta(min_length=1, max_length=32)]


class Ref(msgspec.Struct, frozen=True, order=True):
    """The full address of a resource: its kind, and its path below the provider."""

    kind: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def collection(self) -> str:
        return self.path.rpartition("/")[0]

    def scope(self, segment: str) -> str:
        """The id after `segment` in the path, as in `scope("tenants")`; empty if absent."""
        steps = self.path.split("/")
        for n in range(0, len(steps) - 1, 2):
            if steps[n] == segment:
                return steps[n + 1]
        return ""


class LifeIds(msgspec.Struct, frozen=True):
    """The uids that identify one life of a resource. Keys of secrets are bound to both."""

    tenant: str
    """Of the life of the tenant that contains it; empty outside of tenants."""
    uid: str
    """Of its own life."""


class Power(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Power as a level: the desired one, and the positions of the actions that led to it."""

    desired: PowerState = "off"
    requested: Position = BEGINNING
    """The last action's position: the idempotency key under which a plugin acts."""
    restart_requested: Position = BEGINNING
    completed: Position = BEGINNING
    """The last action that was carried out. One that failed is retried after the next intent."""
    since: datetime | None = None
    """Time at which an action was last carried out."""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """The position of an event, and its time, which orders events of two streams."""

    position: Position
    time: datetime

    def before(self, other: "Moment") -> bool:
        """True if this event came first. Of two streams, an equal time counts as before."""
        if self.position.stream == other.position.stream:
            return self.position < other.position
        return self.time <= other.time


class Author(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The caller whose PUT the present desired state is; what the control plane itself removes from
    it changes no author."""

    written: Moment
    issuer: str = ""
    sub: str = ""
    groups: tuple[str, ...] = ()
    former: "Author | UnsetType" = UNSET
    """The author before: of the desired state that a revert of this PUT restores."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """The aggregate: one resource as its history makes it (`evolve`). A *life* is one incarnation
    of a name, from `Created` to `Deleted`, identified by `uid`."""

    ref: Ref
    uid: str
    tenant: str = ""
    """The uid of the life of the tenant that contains the resource; empty outside of tenants."""
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
    """Number of intent events of the name: `resourceVersion`, and the ETag."""
    position: Position
    """Position of the last event of any type: what the next append expects to be the newest."""
    time: datetime
    """Time of the last event."""
    events: int = 1
    """Number of events of the name, all lives counted."""
    life: Position
    """Position of the `Created` of this life."""
    former_end: Moment | UnsetType = UNSET
    """The end of the name's former life, if it had one."""
    author: Author | UnsetType = UNSET
    """Of a role assignment: its author's grants decide which deferred roles it can grant."""
    created_at: datetime
    modified_at: datetime
    deleted_at: datetime | None = None
    gone: bool = False
    was_active: bool = False
    """True from the first time in this life that the state was `active`."""
    last_intent: Position
    """Position of the last intent event (Kubernetes: `generation`)."""
    observed_position: Position = BEGINNING
    """The newest position that a report has acted on (Kubernetes: `observedGeneration`)."""

    @property
    def life_ids(self) -> LifeIds:
        return LifeIds(self.tenant, self.uid)

    @property
    def unsettled(self) -> bool:
        """The observed status does not answer the last intent yet, or is on the way."""
        return not self.gone and (
            self.observed_position < self.last_intent or self.state not in SETTLED_STATES
        )

    @property
    def terminating(self) -> bool:
        return self.gone or self.deleted_at is not None
