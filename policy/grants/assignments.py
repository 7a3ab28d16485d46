"""Who was given what, as roles and assignments say it: kept so that the few that concern one caller
in one place are found at once, however many there are. Pure."""

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
    narrowed,
)
from secaplane.policy.grants.sharded import ShardedDict

ASSIGNMENT_PLACES_MAX = 64
"""Subs times workspaces by which one assignment is found; one of more is looked at in all."""
AssignmentPlace = tuple[str, str, str]
"""A sub, a tenant, and a workspace or EVERY."""
Holder = tuple[str, str]
"""A sub and a tenant."""
K = TypeVar("K", AssignmentPlace, Holder)


class PolicyResource(Protocol):
    """A role or an assignment, as far as it matters here."""

    @property
    def ref(self) -> Ref: ...
    @property
    def spec(self) -> Json: ...
    @property
    def terminating(self) -> bool:
        """What is going gives nothing any more."""
        ...


class AssignmentIndex:
    """The roles and assignments of all tenants, and when each tenant's last changed."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._roles: defaultdict[str, dict[str, Role]] = defaultdict(dict)
        self._assignments: defaultdict[str, ShardedDict[Ref, Json]] = defaultdict(ShardedDict)
        self._named: ShardedDict[AssignmentPlace, dict[Ref, None]] = ShardedDict()
        self._holding: ShardedDict[Holder, dict[Ref, None]] = ShardedDict()
        self._revisions: dict[str, Position] = {}
        self._editions: Counter[str] = Counter()
        self._began = BEGINNING

    def begin(self, revision: Position) -> None:
        """Of a tenant that never changed after it, this is the revision."""
        self._began = revision

    def revision(self, tenant: str) -> Position:
        return self._revisions.get(tenant, self._began)

    def edition(self, tenant: str) -> int:
        """Another one after every change: of two that are told one after the other, both may be of
        one revision."""
        return self._editions[tenant]

    def learn(self, given: PolicyResource, revision: Position) -> None:
        """A role or an assignment as it now is."""
        self.forget(given.ref, revision)
        if given.terminating:
            return
        ref, spec = given.ref, given.spec
        tenant = ref.scope("tenants")
        if ref.kind == "role":
            self._roles[tenant][ref.name] = Role(spec)
            return
        self._assignments[tenant].part(ref)[ref] = spec
        for place in _places(tenant, spec):
            _add(self._named, place, ref)
            _add(self._holding, place[:2], ref)

    def forget(self, ref: Ref, revision: Position) -> None:
        tenant = ref.scope("tenants")
        self._editions[tenant] += 1
        self._revisions[tenant] = max(revision, self.revision(tenant))
        if ref.kind == "role":
            self._roles[tenant].pop(ref.name, None)
            return
        former = self._assignments[tenant].part(ref).pop(ref, None)
        for place in _places(tenant, former) if former else ():
            _remove(self._named, place, ref)
            _remove(self._holding, place[:2], ref)

    def grants(self, sub: str, tenant: str, workspace: str) -> Iterator[Grant]:
        """What a sub, or everybody, is given in a workspace of a tenant; in none, if that is empty.
        By roles that are there now, whichever was written first: one that is deleted is taken out
        of the assignments (A-20). Whoever holds anything in a tenant may read its catalogue."""
        for name in (sub, EVERY):
            for ref in islice(self._holding.get((name, tenant)) or (), 1):
                yield catalogue_grant(tenant, ref.name)
        places = {workspace, EVERY} if workspace else {EVERY}
        refs = {
            ref
            for name in (sub, EVERY)
            for place in places
            for ref in self._named.get((name, tenant, place)) or ()
        }
        for ref in sorted(refs):
            spec = self._assignments[tenant].part(ref)[ref]
            scopes = narrowed(assignment_scopes(tenant, spec), self._region, workspace)
            yield from assignment_grants(tenant, ref.name, spec, self.roles(tenant), scopes)

    def grants_anywhere(self, sub: str, tenant: str) -> Iterator[Grant]:
        """What a sub, or everybody, is given anywhere in a tenant."""
        for name in (sub, EVERY):
            for ref in self._holding.get((name, tenant)) or ():
                spec = self._assignments[tenant].part(ref)[ref]
                scopes = assignment_scopes(tenant, spec)
                yield from assignment_grants(tenant, ref.name, spec, self.roles(tenant), scopes)

    def roles(self, tenant: str) -> Mapping[str, Role]:
        """A tenant's own."""
        return self._roles.get(tenant, {})

    def names(self, sub: str, tenant: str) -> bool:
        """Whether an assignment of a tenant names a sub, or everybody."""
        return any(self._holding.get((name, tenant)) for name in (sub, EVERY))

    def subs(self, tenant: str) -> Sequence[str]:
        """Everybody whom an assignment of a tenant names."""
        if tenant not in self._assignments:
            return ()
        specs = self._assignments[tenant]
        return sorted({sub for ref in specs for sub in specs.part(ref)[ref]["subs"]})


def _add(where: ShardedDict[K, dict[Ref, None]], key: K, ref: Ref) -> None:
    where.part(key).setdefault(key, {})[ref] = None


def _remove(where: ShardedDict[K, dict[Ref, None]], key: K, ref: Ref) -> None:
    part = where.part(key)
    some = part.get(key)
    if some is not None:
        some.pop(ref, None)
        if not some:
            del part[key]


def _places(tenant: str, spec: Json) -> set[AssignmentPlace]:
    """Where an assignment is looked for."""
    workspaces = {
        workspace
        for scope in assignment_scopes(tenant, spec)
        for workspace in scope.get("workspaces") or (EVERY,)
    }
    if len(spec["subs"]) * len(workspaces) > ASSIGNMENT_PLACES_MAX:
        workspaces = {EVERY}
    return {(sub, tenant, workspace) for sub in spec["subs"] for workspace in workspaces}
