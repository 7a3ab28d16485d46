"""What makes resources real on one cloud: one file, or one folder, for each cloud.

A plugin is handed a whole resource and brings its cloud in line with it. It must be idempotent by
`resource.uid`: asked twice, it does it once; killed half-way and asked again, it finishes. It
raises for whatever may pass (the reconciler asks again, with growing delays) and answers Refused
only where asking again cannot help before the user changes something.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from secaplane.model.position import Position
from secaplane.model.shape import Json, Labels, Resource


class Ready(msgspec.Struct, frozen=True):
    """It is so. `status` holds the kind's own status fields, all of them."""

    status: Json = {}


class InProgress(msgspec.Struct, frozen=True):
    """Under way; look again later."""

    look_again_s: float


class TerminalError(msgspec.Struct, frozen=True):
    """This cloud will not do that as it is wished. `reason` is CamelCase (SECA
    `StatusCondition`)."""

    reason: str
    message: str


Outcome = Ready | InProgress | TerminalError


class CatalogueEntry(msgspec.Struct, frozen=True):
    """One thing a cloud has on offer: a region, a SKU. `kind` names one whose `from_catalogue` is
    true."""

    kind: str
    name: str
    spec: Json
    labels: Labels = {}


Bound = Mapping[str, Resource]
"""What the references in a resource's spec mean, by their pointers below the spec (`/nicRef`,
`/dataVolumes/0/deviceRef`), and what it lies in, by kind (`network`). What is not there, or going,
is left out: a reference that may be bound later."""


class Plugin(Protocol):
    async def ensure(self, resource: Resource, bound: Bound) -> Outcome:
        """Make it so: create it or bring it in line with its spec. Asked again for what is settled
        when something that it refers to has changed."""
        ...

    async def act(self, resource: Resource, bound: Bound, action: str, key: Position) -> Outcome:
        """Start, stop or restart it, once for each key, however often it is asked."""
        ...

    async def remove(self, resource: Resource) -> Outcome:
        """Make it gone; what never was is gone already."""
        ...

    async def offers(self) -> Sequence[CatalogueEntry]:
        """The regions and SKUs this cloud has now."""
        ...

    async def close(self) -> None: ...
