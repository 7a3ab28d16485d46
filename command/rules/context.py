"""The input of a decision: everything that a rule may read, as data. Pure; `command.gather` fetches
it before the rule runs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from secaplane.command.rules.quotas import QuotaUsage
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource


class UseConflict(NamedTuple):
    """A change that other resources forbid."""

    detail: str
    """`{}` stands for their number."""
    blockers: Sequence[Ref]


class CallerRights(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's rights that one decision needs. The defaults are the control plane's own."""

    readable: frozenset[Ref] | None = None
    """The resources that the caller may get, of those whose visibility the decision depends on;
    None: all of them."""
    excess: str = ""
    """A permission that the PUT grants and the caller does not hold; empty where there is none."""

    def may_get(self, ref: Ref) -> bool:
        return self.readable is None or ref in self.readable


UNRESTRICTED = CallerRights()


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a history, which cannot be read."""

    position: Position
    """Of the last event."""
    since: Position
    """Of the first event that cannot be decoded or applied, or of the last one if it is lost."""
    left_out: int
    """The number of events from there on."""
    version: int = 0
    """The greatest version that a reader has seen, where it is known."""
    foreign: bool
    """No release writes such events, so that none of them can be a caller's."""
    missing: bool = False
    """The log has lost an event of the resource."""
    reason: str


class SiteRules(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of this site where the contract leaves a choice."""

    region: str = ""
    deferred: frozenset[str] = frozenset()
    """The settings (`Link.deferrable_as`) of the links that are deferred at this site."""
    cascades: frozenset[tuple[str, str]] = frozenset()
    """(kind of a parent, kind of a child): deleting the parent deletes the child."""
    any_ranges: bool = False
    """Networks may have ranges that are not private."""


class DecisionContext(msgspec.Struct, frozen=True):
    """One resource and the related resources that its rules need, at one moment of the log."""

    ref: Ref
    kind: Kind
    latest: Resource | None
    """The resource as last recorded, deleted or not; as it was before the damage, if there is
    one."""
    damage: Damage | None = None
    parents: Mapping[Ref, Resource | None] = {}
    """The resources that must exist for it; None where one does not."""
    targets: Mapping[Ref, Resource | None] = {}
    """The resources that its references may mean, by their address in the log; None (or missing)
    where one does not exist, or the caller may not get it."""
    zones: Sequence[str] | None = None
    """The zones of the region; None where they are not known yet."""
    children: Sequence[Ref] = ()
    """The resources contained in it, for a command that ends it."""
    referrers: Sequence[Ref] = ()
    """The resources that block the deletion of it, or of a child that is deleted with it."""
    conflicts: Sequence[UseConflict] = ()
    """The other resources that forbid the PUT, because they use what it changes."""
    quota: QuotaUsage | None = None
    """None where the tenant has no quota of this kind."""
    site: SiteRules = SiteRules()
    rights: CallerRights = UNRESTRICTED

    @property
    def resource(self) -> Resource | None:
        """The living resource. A deleted one counts as absent, but its name goes on counting
        versions."""
        return living(self.latest)

    @property
    def position(self) -> Position:
        """The expected last position of the resource, for optimistic concurrency."""
        if self.damage is not None:
            return self.damage.position
        return self.latest.position if self.latest else BEGINNING

    @property
    def parents_by_kind(self) -> dict[str, Resource]:
        return {ref.kind: parent for ref, parent in self.parents.items() if parent is not None}


def living(resource: Resource | None) -> Resource | None:
    return None if resource is None or resource.gone else resource
