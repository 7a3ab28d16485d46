"""Dependencies of command handling: the log, the read model, and the sources of time and chance."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from secaplane.command.gather.children import AskChildren, WaitReached
from secaplane.command.gather.past import PastReader
from secaplane.command.keyed_lock import KeyedLock
from secaplane.command.rules.context import SiteRules
from secaplane.eventlog.log import Log
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds.shares import QuotaShare
from secaplane.model.errors import Unavailable
from secaplane.model.kind import Kind
from secaplane.model.position import Position
from secaplane.model.shape import Json, LifeIds, Ref, Resource

AskReferrers = Callable[[Sequence[Ref], bool], Awaitable[Sequence[Ref]]]
"""(addresses, including referrers that are being deleted) -> the resources that block the deletion
of one of them, according to the read model."""

AskNamedBy = Callable[[Ref, Sequence[str]], Awaitable[Sequence[Ref]]]
"""(address, kinds) -> the living resources of those kinds that refer to it, according to the read
model."""


SealSpec = Callable[[Kind, LifeIds, Json], Awaitable[Json]]
"""(kind, the life that the spec is of, spec) -> the spec with its secret strings sealed."""


class RelatedReader(Protocol):
    """Related resources that are not gone, according to the read model, in bounded batches."""

    def referrers(
        self, targets: Sequence[Ref], kinds: Sequence[str]
    ) -> AsyncIterator[Sequence[Resource]]:
        """The resources of some kinds that refer to one of some targets."""
        ...

    def children(self, parent: Ref, kinds: Sequence[str]) -> AsyncIterator[Sequence[Resource]]:
        """The resources of some kinds that are contained in another one."""
        ...


class UsageReader(Protocol):
    """The quota usage of tenants according to the read model."""

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> Sequence[QuotaShare]:
        """The shares of all resources that were not gone at a position, or are not gone now."""
        ...

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> Sequence[tuple[Position, QuotaShare]]:
        """The changes of the share of one life, in order."""
        ...

    async def specs(self, refs: Sequence[Ref], at: Position) -> Mapping[Ref, Json]:
        """The desired state of resources at a position."""
        ...


class NoRelatedReader:
    """For processes that handle no command whose rules are about other resources."""

    async def referrers(
        self, targets: Sequence[Ref], kinds: Sequence[str]
    ) -> AsyncIterator[Sequence[Resource]]:
        raise Unavailable(NOT_READ)
        yield

    async def children(
        self, parent: Ref, kinds: Sequence[str]
    ) -> AsyncIterator[Sequence[Resource]]:
        raise Unavailable(NOT_READ)
        yield


NOT_READ = "this process does not read related resources"


class NoUsageReader:
    """For processes that handle no command for a tenant with quotas."""

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> Sequence[QuotaShare]:
        raise Unavailable(NOT_COUNTED)

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> Sequence[tuple[Position, QuotaShare]]:
        raise Unavailable(NOT_COUNTED)

    async def specs(self, refs: Sequence[Ref], at: Position) -> Mapping[Ref, Json]:
        raise Unavailable(NOT_COUNTED)


NOT_COUNTED = "this process does not count quotas"


def _always() -> None:
    """Processes that answer callers may append at any time."""


@dataclass(frozen=True)
class CommandDependencies:
    log: Log
    cache: ResourceCache
    clock: Callable[[], datetime]
    new_uid: Callable[[], str]
    new_salt: Callable[[], bytes]
    """SALT_BYTES random bytes for each event."""
    seal: SealSpec
    children: AskChildren
    referrers: AskReferrers
    named_by: AskNamedBy
    reached: WaitReached
    related: RelatedReader = field(default_factory=NoRelatedReader)
    usage: UsageReader = field(default_factory=NoUsageReader)
    site: SiteRules = field(default_factory=SiteRules)
    locks: KeyedLock = field(default_factory=KeyedLock)
    permitted: Callable[[], None] = _always
    """Raises before each append that this process may not make now: a reconciler's lease is over
    (`reconcilers.leases`)."""

    @cached_property
    def past(self) -> PastReader:
        """The pasts of resources, for the checks after the append."""
        return PastReader(self.log, self.cache.snapshots)
