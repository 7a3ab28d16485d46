"""An index of the roles and role assignments of all tenants: the few that concern one caller in one
place are found without a scan. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.rules import (
    Grant,
    Role,
    assignment_grants,
    assignment_scopes,
    catalogue_grant,
    dimension_of,
    narrowed,
)
from secaplane.policy.grants.sharded import ShardedDict

ASSIGNMENT_PLACES_MAX = 64
"""Subs times workspaces under which one assignment is indexed; one of more is indexed by its subs
alone."""
AssignmentPlace = tuple[str, str, str]
"""A sub, a tenant, and a workspace or EVERY."""
Holder = tuple[str, str]
"""A sub and a tenant."""
K = TypeVar("K", AssignmentPlace, Holder)


class PolicyResource(Protocol):
    """The parts of a role, an assignment or a revocation that the policy needs."""

    @property
    def ref(self) -> Ref: ...
    @property
    def spec(self) -> Json: ...
    @property
    def terminating(self) -> bool:
        """A resource that is being deleted has no effect any more."""
        ...


class AssignmentIndex:
    """The roles and assignments of all tenants, with the revision and edition of each tenant."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._roles: defaultdict[str, dict[str, Role]] = defaultdict(dict)
        self._assignments: defaultdict[str, ShardedDict[Ref, Json]] = defaultdict(ShardedDict)
        self._by_place: ShardedDict[AssignmentPlace, dict[Ref, None]] = ShardedDict()
        self._by_holder: ShardedDict[Holder, dict[Ref, None]] = ShardedDict()
        self._revisions: dict[str, Position] = {}
        self._editions: Counter[str] = Counter()
        self._started_at = BEGINNING

    def reset(self, revision: Position) -> None:
        """Set the revision of the tenants that have not changed since the start."""
        self._started_at = revision

    def revision(self, tenant: str) -> Position:
        """The position of the tenant's last change; it never goes back."""
        return self._revisions.get(tenant, self._started_at)

    def edition(self, tenant: str) -> int:
        """The number of changes of a tenant since the start: two of them may have one revision."""
        return self._editions[tenant]

    def put(self, resource: PolicyResource, revision: Position) -> None:
        """Replace a role or an assignment by its current state."""
        self.remove(resource.ref, revision)
        if resource.terminating:
            return
        ref, spec = resource.ref, resource.spec
        tenant = ref.scope("tenants")
        if ref.kind == "role":
            self._roles[tenant][ref.name] = Role(spec)
            return
        self._assignments[tenant].shard(ref)[ref] = spec
        for place in _places(tenant, spec):
            _add(self._by_place, place, ref)
            _add(self._by_holder, place[:2], ref)

    def remove(self, ref: Ref, revision: Position) -> None:
        tenant = ref.scope("tenants")
        self._editions[tenant] += 1
        self._revisions[tenant] = max(revision, self.revision(tenant))
        if ref.kind == "role":
            self._roles[tenant].pop(ref.name, None)
            return
        former = self._assignments[tenant].shard(ref).pop(ref, None)
        for place in _places(tenant, former) if former else ():
            _discard(self._by_place, place, ref)
            _discard(self._by_holder, place[:2], ref)

    def grants(self, sub: str, tenant: str, workspace: str) -> Iterator[Grant]:
        """The grants of a sub (with those of every caller) in a workspace of a tenant; outside of
        workspaces if it is empty.

        Roles count as they are now, whichever of role and assignment was written first; a deleted
        role grants nothing (SECA A-20). Every holder of an assignment may read the catalogue.
        """
        for name in (sub, EVERY):
            for ref in islice(self._by_holder.get((name, tenant)) or (), 1):
                yield catalogue_grant(tenant, ref.name)
        places = {workspace, EVERY} if workspace else {EVERY}
        refs = {
            ref
            for name in (sub, EVERY)
            for place in places
            for ref in self._by_place.get((name, tenant, place)) or ()
        }
        for ref in sorted(refs):
            spec = self._assignments[tenant].shard(ref)[ref]
            scopes = narrowed(assignment_scopes(tenant, spec), self._region, workspace)
            yield from assignment_grants(tenant, ref.name, spec, self.roles(tenant), scopes)

    def grants_anywhere(self, sub: str, tenant: str) -> Iterator[Grant]:
        """The grants of a sub (with those of every caller) in all workspaces of a tenant."""
        for name in (sub, EVERY):
            for ref in self._by_holder.get((name, tenant)) or ():
                spec = self._assignments[tenant].shard(ref)[ref]
                scopes = assignment_scopes(tenant, spec)
                yield from assignment_grants(tenant, ref.name, spec, self.roles(tenant), scopes)

    def granted_by(self, ref: Ref) -> Iterator[Grant]:
        """The grants that one assignment makes to each of its subs; none if there is no such
        assignment."""
        tenant = ref.scope("tenants")
        spec = self._assignments[tenant].get(ref) if tenant in self._assignments else None
        if spec is not None:
            scopes = assignment_scopes(tenant, spec)
            yield from assignment_grants(tenant, ref.name, spec, self.roles(tenant), scopes)

    def roles(self, tenant: str) -> Mapping[str, Role]:
        """A tenant's roles by name, without the system roles."""
        return self._roles.get(tenant, {})

    def names(self, sub: str, tenant: str) -> bool:
        """True if an assignment of a tenant names a sub, or every caller."""
        return any(self._by_holder.get((name, tenant)) for name in (sub, EVERY))

    def subs(self, tenant: str) -> Sequence[str]:
        """The subs that the assignments of a tenant name, EVERY among them if one does."""
        if tenant not in self._assignments:
            return ()
        specs = self._assignments[tenant]
        return sorted({sub for ref in specs for sub in specs.shard(ref)[ref]["subs"]})


def _add(index: ShardedDict[K, dict[Ref, None]], key: K, ref: Ref) -> None:
    index.shard(key).setdefault(key, {})[ref] = None


def _discard(index: ShardedDict[K, dict[Ref, None]], key: K, ref: Ref) -> None:
    shard = index.shard(key)
    refs = shard.get(key)
    if refs is not None:
        refs.pop(ref, None)
        if not refs:
            del shard[key]


def _places(tenant: str, spec: Json) -> set[AssignmentPlace]:
    """The keys under which an assignment is indexed."""
    workspaces = {
        workspace
        for scope in assignment_scopes(tenant, spec)
        for workspace in dimension_of(scope, "workspaces")
    }
    if len(spec["subs"]) * len(workspaces) > ASSIGNMENT_PLACES_MAX:
        workspaces = {EVERY}
    return {(sub, tenant, workspace) for sub in spec["subs"] for workspace in workspaces}
