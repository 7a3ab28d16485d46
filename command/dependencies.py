"""What the door to the log needs: the log, and the world's time, chance and read model, given to
it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from secaplane.command.gather.children import AskChildren, WaitReached
from secaplane.command.gather.load import SiteRules
from secaplane.command.keyed_lock import KeyedLock
from secaplane.eventlog.log import Log
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds.shares import QuotaShare
from secaplane.model.errors import Unavailable
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref

AskReferrers = Callable[[Sequence[Ref], bool], Awaitable[Sequence[Ref]]]
"""(addresses, also what is going) -> what the read model knows to hold one of them."""

AskNamedBy = Callable[[Ref, Sequence[str]], Awaitable[Sequence[Ref]]]
"""(address, kinds) -> what the read model knows to live of those kinds and to refer to it."""


class UsageReader(Protocol):
    """What the read model knows to have been taken of what tenants may have."""

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> Sequence[QuotaShare]:
        """By what was not gone at a position, or is not gone now."""
        ...

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> Sequence[tuple[Position, QuotaShare]]:
        """By one life, and when."""
        ...

    async def specs(self, refs: Sequence[Ref], at: Position) -> Mapping[Ref, Json]:
        """What was wanted of them at a position."""
        ...


class NoUsageReader:
    """For doors that no tenant with quotas goes through."""

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> Sequence[QuotaShare]:
        raise Unavailable("quotas are not counted here")

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> Sequence[tuple[Position, QuotaShare]]:
        raise Unavailable("quotas are not counted here")

    async def specs(self, refs: Sequence[Ref], at: Position) -> Mapping[Ref, Json]:
        raise Unavailable("quotas are not counted here")


@dataclass(frozen=True)
class CommandDependencies:
    log: Log
    cache: ResourceCache
    clock: Callable[[], datetime]
    new_uid: Callable[[], str]
    new_salt: Callable[[], bytes]
    """SALT_BYTES random bytes for each event."""
    children: AskChildren
    referrers: AskReferrers
    named_by: AskNamedBy
    reached: WaitReached
    usage: UsageReader = field(default_factory=NoUsageReader)
    site: SiteRules = field(default_factory=SiteRules)
    locks: KeyedLock = field(default_factory=KeyedLock)
