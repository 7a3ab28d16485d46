"""An index of the roles and role assignments of all tenants: the few that concern one caller in one
place are found without a scan. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol, TypeVar

import msgspec
from msgspec import UnsetType

from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Author, Json, Moment, Ref
from secaplane.policy.grants.deferred import DeferredRole, IsBound, reasons
from secaplane.policy.grants.lives import FormerWorkspaces
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.rules import (
    SYSTEM,
    Grant,
    Role,
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
"""A subject, a tenant, and a workspace or EVERY."""
Holder = tuple[str, str]
"""A subject (a sub or a group) and a tenant."""
K = TypeVar("K", AssignmentPlace, Holder)


class PolicyResource(Protocol):
    """The parts of a role, an assignment or a revocation that the policy needs."""

    @property
    def ref(self) -> Ref: ...
    @property
    def tenant(self) -> str: ...
    @property
    def spec(self) -> Json: ...
    @property
    def life(self) -> Position: ...
    @property
    def author(self) -> Author | UnsetType: ...
    @property
    def terminating(self) -> bool:
        """A resource that is being deleted has no effect any more."""
        ...


class StoredAssignment(msgspec.Struct, frozen=True, gc=False):
    spec: Json
    author: Author


class AssignmentIndex:
    """The roles and assignments of all tenants, with the revision and edition of each tenant."""

    def __init__(self, region: str, former_workspaces: FormerWorkspaces) -> None:
        self._region, self._former_workspaces = region, former_workspaces
        self._roles: defaultdict[str, dict[str, Role]] = defaultdict(dict)
        self._assignments: defaultdict[str, ShardedDict[Ref, StoredAssignment]]
        self._assignments = defaultdict(ShardedDict)
        self._by_place: ShardedDict[AssignmentPlace, dict[Ref, None]] = ShardedDict()
        self._by_holder: ShardedDict[Holder, dict[Ref, None]] = ShardedDict()
        self._revisions: dict[str, Position] = {}
        self._tenant_lives: dict[str, tuple[Position, str]] = {}
        """Tenant -> the newest life of a role or an assignment in it, and the tenant's own."""
        self._editions: Counter[str] = Counter()
        self._started_at = BEGINNING
        self._judged: dict[str, tuple[int, dict[DeferredRole, str]]] = {}
        """Tenant -> an edition, and the deferred roles that were judged as of it."""

    def reset(self, revision: Position) -> None:
        """Set the revision of the tenants that have not changed since the start."""
        self._started_at = revision

    def revision(self, tenant: str) -> Position:
        """The position of the tenant's last change; it never goes back."""
        return self._revisions.get(tenant, self._started_at)

    def tenant_life(self, tenant: str) -> str:
        """The uid of the life of a tenant to which its newest role or assignment belongs; empty
        where there has been none since the start."""
        return self._tenant_lives.get(tenant, (BEGINNING, ""))[1]

    def edition(self, tenant: str) -> int:
        """The number of changes of a tenant since the start: two of them may have one revision."""
        return self._editions[tenant]

    # --- changes

    def put(self, resource: PolicyResource, revision: Position) -> None:
        """Replace a role or an assignment by its current state."""
        self.remove(resource.ref, revision)
        ref, spec = resource.ref, resource.spec
        tenant = ref.scope("tenants")
        life = (resource.life, resource.tenant)
        self._tenant_lives[tenant] = max(self._tenant_lives.get(tenant, life), life)
        if resource.terminating:
            return
        if ref.kind == "role":
            self._roles[tenant][ref.name] = Role(spec, life=resource.life)
            return
        author = resource.author
        if isinstance(author, UnsetType):
            author = Author(written=Moment(resource.life, _UNKNOWN_TIME))
        self._assignments[tenant].shard(ref)[ref] = StoredAssignment(spec, author)
        for place in _places(tenant, spec):
            _add(self._by_place, place, ref)
            _add(self._by_holder, place[:2], ref)

    def remove(self, ref: Ref, revision: Position) -> None:
        tenant = ref.scope("tenants")
        self.changed(tenant)
        self._revisions[tenant] = max(revision, self.revision(tenant))
        if ref.kind == "role":
            self._roles[tenant].pop(ref.name, None)
            return
        former = self._assignments[tenant].shard(ref).pop(ref, None)
        for place in _places(tenant, former.spec) if former else ():
            _discard(self._by_place, place, ref)
            _discard(self._by_holder, place[:2], ref)

    def changed(self, tenant: str) -> None:
        """Decisions and judgements of a tenant that were made before are void."""
        self._editions[tenant] += 1

    # --- grants

    def grants(self, subjects: Sequence[str], tenant: str, workspace: str) -> Iterator[Grant]:
        """The grants of a caller's sub and groups (with those of every caller) in a workspace of a
        tenant; outside of workspaces if it is empty.

        Roles count as they are now; a deleted role grants nothing (SECA A-20), and neither does one
        that is deferred and not bound. Every holder of an assignment may read the catalogue.
        """
        for name in (*subjects, EVERY):
            for ref in islice(self._by_holder.get((name, tenant)) or (), 1):
                yield catalogue_grant(tenant, ref.name)
        places = {workspace, EVERY} if workspace else {EVERY}
        refs = {
            ref
            for name in (*subjects, EVERY)
            for place in places
            for ref in self._by_place.get((name, tenant, place)) or ()
        }
        for ref in sorted(refs):
            stored = self._stored(ref)
            scopes = narrowed(assignment_scopes(tenant, stored.spec), self._region, workspace)
            yield from self._granted(ref, stored, scopes, self._is_bound)

    def grants_anywhere(self, subjects: Iterable[str], tenant: str) -> Iterator[Grant]:
        """The grants of a caller's sub and groups (with those of every caller) in all workspaces of
        a tenant."""
        yield from self._anywhere(subjects, tenant, self._is_bound)

    def granted_by(self, ref: Ref) -> Iterator[Grant]:
        """The grants that one assignment makes to each of its subjects; none if there is no such
        assignment."""
        tenant = ref.scope("tenants")
        if tenant in self._assignments and self._assignments[tenant].get(ref) is not None:
            yield from self._everywhere(ref, self._is_bound)

    def roles(self, tenant: str) -> Mapping[str, Role]:
        """A tenant's roles by name, without the system roles."""
        return self._roles.get(tenant, {})

    def named(self, subjects: Iterable[str], tenant: str) -> tuple[str, ...]:
        """Those of some subjects that an assignment of a tenant names."""
        return tuple(each for each in subjects if self._by_holder.get((each, tenant)))

    def subjects(self, tenant: str) -> Sequence[str]:
        """The subs and groups that the assignments of a tenant name, EVERY among them if one
        does."""
        if tenant not in self._assignments:
            return ()
        stored = self._assignments[tenant]
        return sorted({sub for ref in stored for sub in stored.shard(ref)[ref].spec["subs"]})

    def deferred(self, tenant: str) -> dict[DeferredRole, str]:
        """The deferred roles of a tenant that exist, and why they are not bound; "" if they are."""
        if tenant not in self._assignments:
            return {}
        every = [each for ref in self._assignments[tenant] for each in self._deferred_in(ref)]
        return {each: self._why_unbound(each) for each in every}

    def unbound(self, subjects: Sequence[str], tenant: str) -> Iterator[tuple[DeferredRole, str]]:
        """The deferred roles that an assignment names for a caller and that are not bound, and why
        not."""
        for each in _Authored(self, tenant).deferred_roles(subjects):
            if why := self._why_unbound(each):
                yield each, why

    def author(self, ref: Ref) -> Author:
        """The author of an assignment that exists."""
        return self._stored(ref).author

    def _stored(self, ref: Ref) -> StoredAssignment:
        return self._assignments[ref.scope("tenants")].shard(ref)[ref]

    def _anywhere(self, subjects: Iterable[str], tenant: str, is_bound: IsBound) -> Iterator[Grant]:
        for name in (*subjects, EVERY):
            for ref in self._by_holder.get((name, tenant)) or ():
                yield from self._everywhere(ref, is_bound)

    def _everywhere(self, ref: Ref, is_bound: IsBound) -> Iterator[Grant]:
        stored = self._stored(ref)
        scopes = assignment_scopes(ref.scope("tenants"), stored.spec)
        yield from self._granted(ref, stored, scopes, is_bound)

    def _granted(
        self, ref: Ref, stored: StoredAssignment, scopes: Sequence[Json], is_bound: IsBound
    ) -> Iterator[Grant]:
        """The grants of an assignment in some of its scopes, without former lives of workspaces."""
        tenant, written = ref.scope("tenants"), stored.author.written
        scopes = self._former_workspaces.without_ended(tenant, scopes, written)
        for name in dict.fromkeys(stored.spec["roles"]) if scopes else ():
            role = SYSTEM.get(name) or self.roles(tenant).get(name)
            if role is not None and (
                role.life <= written.position or is_bound(DeferredRole(ref, name))
            ):
                yield Grant(role, tenant, scopes, f"{ref.name}/{name}")

    # --- deferred roles

    def _is_bound(self, deferred: DeferredRole) -> bool:
        return not self._why_unbound(deferred)

    def _why_unbound(self, deferred: DeferredRole) -> str:
        """Judged once for each edition of the tenant's policy, where it is needed."""
        tenant = deferred.assignment.scope("tenants")
        edition, judged = self._judged.get(tenant, (-1, {}))
        if edition != self._editions[tenant]:
            judged = {}
            self._judged[tenant] = self._editions[tenant], judged
        if deferred not in judged:
            judged |= reasons(_Authored(self, tenant), deferred)
        return judged[deferred]

    def _deferred_in(self, ref: Ref) -> Iterator[DeferredRole]:
        stored, roles = self._stored(ref), self.roles(ref.scope("tenants"))
        for name in dict.fromkeys(stored.spec["roles"]):
            role = roles.get(name)
            if role is not None and role.life > stored.author.written.position:
                yield DeferredRole(ref, name)


class _Authored:
    """The assignments of one tenant, as the judgement of deferred roles needs them
    (`deferred.AuthoredGrants`)."""

    def __init__(self, index: AssignmentIndex, tenant: str) -> None:
        self._index, self._tenant = index, tenant

    def author(self, assignment: Ref) -> Author:
        return self._index.author(assignment)

    def deferred_roles(self, subjects: Iterable[str]) -> Iterator[DeferredRole]:
        for name in (*subjects, EVERY):
            for ref in self._index._by_holder.get((name, self._tenant)) or ():
                yield from self._index._deferred_in(ref)

    def grants_of(self, deferred: DeferredRole) -> Sequence[Grant]:
        every = self._index._everywhere(deferred.assignment, lambda each: each == deferred)
        own = f"{deferred.assignment.name}/{deferred.role}"
        return [grant for grant in every if grant.assignment == own]

    def held(self, subjects: Iterable[str], is_bound: IsBound) -> Iterator[Grant]:
        return self._index._anywhere(subjects, self._tenant, is_bound)


_UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)


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
