"""The plugin protocol: the driver of one cloud.

A plugin receives a whole resource and makes its cloud match it. It is level-triggered: it compares
desired and actual state and is not notified of what changed. Calls are idempotent by
`resource.uid`: the same call twice has the effect of one, and a call that was interrupted is
finished by the next.

A plugin raises an exception for a failure that may pass: the reconciler calls again with a growing
backoff. If the cloud as a whole does not answer (no connection, time-out, 5xx) it raises
CloudUnavailable, OSError or TimeoutError: that is an outage, and the backoff of all resources ends
when it is over. It answers `TerminalError` only where a retry cannot help before the
user changes the resource.

Plugins are found through the entry point group `secaplane.plugins` (`plugins.loading`) and tested
by `plugins.contract`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from secaplane.model.position import Position
from secaplane.model.shape import Json, Labels, Resource


class Fence(msgspec.Struct, frozen=True, order=True):
    """Fencing token of one call (M. Kleppmann, "How to do distributed locking"): a later call for a
    resource has a greater fence, also when another process makes it.

    `epoch` is the revision of the write with which the process took the partition of the resource,
    in one NATS key-value bucket (`reconcilers.leases`): a process that takes it later has a greater
    one. `number` counts the calls of one epoch, from 1. Calls for one uid are made by the holder of
    its partition alone, one at a time.
    """

    epoch: int
    number: int


class FenceRejected(Exception):
    """The cloud has seen a greater fence for this uid: another process has taken over. The call
    changed nothing, and its result must not be reported."""


class CloudUnavailable(Exception):
    """The cloud as a whole does not answer: an outage, and no fault of the resource."""


class Ready(msgspec.Struct, frozen=True):
    """The cloud matches the desired state. `status` holds all of the kind's own status fields."""

    status: Json = {}


class InProgress(msgspec.Struct, frozen=True):
    """The cloud is working on it; call again after that many seconds."""

    requeue_after_s: float


class TerminalError(msgspec.Struct, frozen=True):
    """This cloud cannot do it, and a retry does not help. `reason` is CamelCase (SECA
    `StatusCondition`)."""

    reason: str
    message: str


Outcome = Ready | InProgress | TerminalError


class Observed(msgspec.Struct, frozen=True):
    """The resource exists in the cloud; `status` is its actual state, as `Ready` reports it."""

    status: Json = {}


class Absent(msgspec.Struct, frozen=True):
    """The cloud has nothing for this uid."""


Observation = Observed | Absent


class ToObserve(NamedTuple):
    """A resource whose actual state is read, and the fence of the call."""

    resource: Resource
    fence: Fence


class CatalogueEntry(msgspec.Struct, frozen=True):
    """A region, a SKU or an image that a cloud offers. `kind` is one whose `backing` is
    `CATALOGUE`, or whose `exposure` is `to_all_tenants`.

    A SKU name that begins with `seca.` is an alias for ever (`kinds.sku_name`): `seca.rd500` is
    published as `RD500`, and references may use either."""

    kind: str
    name: str
    spec: Json
    labels: Labels = {}


class InventoryItem(msgspec.Struct, frozen=True):
    """A resource that the cloud holds, by what it is tagged with: as `ensure` was given it."""

    uid: str
    kind: str
    path: str = ""
    """The path of its address; empty where the cloud has lost it. The log is asked by address, so
    nothing can be said about such a resource."""


Bound = Mapping[str, Resource]
"""The targets of the references in a resource's spec, by JSON pointer below the spec (`/nicRef`,
`/dataVolumes/0/deviceRef`), and its parents, by kind (`network`). Targets that are absent or
terminating are left out: a deferred reference is bound later."""


class Plugin(Protocol):
    """The driver of one cloud. Every call for a resource carries a fence.

    A call is cancelled (`asyncio.CancelledError`) at its next step when the lease of its process is
    over. A plugin sends its requests in the task that it is called in, so that it sends none later.
    """

    compares_fences: bool
    """True: the cloud refuses a fence smaller than the greatest it has seen for the uid, and
    remembers for ever that a uid was removed. False: the cloud cannot store that; the contract
    suite then skips the two checks. Then a process that takes over makes its first call after
    `request_s_max`, `ensure` finds what bears the uid before it makes anything, and what a still
    later request has made is found by the comparison of cloud and log."""

    request_s_max: float
    """Seconds after which the plugin gives up a request to the cloud."""

    observes_at_once: int
    """Resources that one call of `observe_many` may name. 1: the cloud answers for one resource
    at a time, and `observe_many` is never called."""

    lists_inventory: bool
    """False: the cloud cannot list what it holds, or cannot store uid, kind and path with it. Then
    `inventory` is never called, and what was forgotten in the cloud is not found."""

    async def ensure(self, resource: Resource, bound: Bound, fence: Fence) -> Outcome:
        """Create the resource, or change it to match its spec. Called again for a settled resource
        when a target of its references has changed. A uid that was removed is a TerminalError:
        nothing is made for it. An empty list in a spec never means everything: where absent means
        all (`SpecRules.absent_means_all`), it matches nothing.

        Raises:
            FenceRejected: another process made a later call.
        """
        ...

    async def act(
        self, resource: Resource, bound: Bound, action: str, key: Position, fence: Fence
    ) -> Outcome:
        """Start, stop or restart the resource, once for each `key`.

        Raises:
            FenceRejected: another process made a later call.
        """
        ...

    async def remove(self, resource: Resource, fence: Fence) -> Outcome:
        """Remove the resource; Ready when it is gone, also if it never existed.

        Raises:
            FenceRejected: another process made a later call.
        """
        ...

    async def observe(self, resource: Resource, fence: Fence) -> Observation:
        """Read the actual state without changing anything, to detect drift. The fence is compared
        and not stored.

        Raises:
            FenceRejected: another process made a later call.
        """
        ...

    async def observe_many(self, asked: Sequence[ToObserve]) -> Sequence[Observation | Exception]:
        """`observe` for several resources of any kinds, in fewer requests: every settled resource
        is asked about again and again. An answer for each, in the same order: its observation, or
        what `observe` would raise for it.

        Raises whatever concerns the call as a whole.
        """
        ...

    def inventory(self) -> AsyncIterator[Sequence[InventoryItem]]:
        """Everything in the cloud that is tagged as this control plane's, once, in pages of a
        bounded size; nothing of another control plane in the same cloud. A resource that is made or
        removed meanwhile may be in it or not; one that exists all the time is in it."""
        ...

    async def catalogue(self) -> Sequence[CatalogueEntry]:
        """The regions with their zones, the SKUs and the images that this cloud offers now."""
        ...

    async def close(self) -> None:
        """Release connections; the plugin is not used afterwards."""
        ...
