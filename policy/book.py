"""Who was given what, as roles and assignments say it: kept so that the few that concern one caller
in one place are found at once, however many there are. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

import msgspec

from model.shape import NOWHERE, Json, Position, Ref, Resource
from policy.grants import EVERY, Rule, assignment_rules, catalogue_rules, lies_in

Place = tuple[str, str, str]
"""A sub, a tenant, and a workspace or EVERY."""


class Given(msgspec.Struct, frozen=True):
    """What of a role or an assignment matters here; a whole resource will do as well."""

    ref: Ref
    spec: Json
    life: Position
    intended: Position
    deleted_at: datetime | None = None
    gone: bool = False

    @property
    def going(self) -> bool:
        return self.gone or self.deleted_at is not None


Granted = Given | Resource


class Book:
    """The roles and assignments of all tenants, and when each tenant's last changed."""

    def __init__(self) -> None:
        self._roles: defaultdict[str, dict[str, Granted]] = defaultdict(dict)
        self._assignments: dict[Ref, Granted] = {}
        self._named: defaultdict[Place, set[Ref]] = defaultdict(set)
        self._of_tenant: defaultdict[str, set[Ref]] = defaultdict(set)
        self._holding: defaultdict[tuple[str, str], dict[Ref, None]] = defaultdict(dict)
        self._revisions: dict[str, Position] = {}
        self._began = NOWHERE

    def begin(self, revision: Position) -> None:
        """Of a tenant that never changed after it, this is the revision."""
        self._began = revision

    def revision(self, tenant: str) -> Position:
        return self._revisions.get(tenant, self._began)

    def learn(self, given: Granted, revision: Position) -> None:
        """A role or an assignment as it now is; what is going gives nothing any more."""
        self.forget(given.ref, revision)
        if given.going:
            return
        tenant = given.ref.scope("tenants")
        if given.ref.kind == "role":
            self._roles[tenant][given.ref.name] = given
            return
        self._assignments[given.ref] = given
        self._of_tenant[tenant].add(given.ref)
        for sub, _, workspace in _places(given):
            self._named[sub, tenant, workspace].add(given.ref)
            self._holding[sub, tenant][given.ref] = None

    def forget(self, ref: Ref, revision: Position) -> None:
        tenant = ref.scope("tenants")
        self._revisions[tenant] = max(revision, self.revision(tenant))
        if ref.kind == "role":
            self._roles[tenant].pop(ref.name, None)
        former = self._assignments.pop(ref, None)
        if former is None:
            return
        self._of_tenant[tenant].discard(ref)
        for place in _places(former):
            self._named[place].discard(ref)
            self._holding[place[:2]].pop(ref, None)
            if not self._named[place]:
                del self._named[place]
            if not self._holding[place[:2]]:
                del self._holding[place[:2]]

    def assignments(self, sub: str, tenant: str, workspace: str) -> list[Granted]:
        """Those of a tenant that name a sub, or everybody, in a workspace; in none, if that is
        empty."""
        places = {workspace, EVERY} if workspace else {EVERY}
        refs = {
            ref
            for name in (sub, EVERY)
            for place in places
            for ref in self._named.get((name, tenant, place), ())
        }
        return [self._assignments[ref] for ref in sorted(refs)]

    def rules(self, sub: str, tenant: str, workspace: str) -> Iterator[Rule]:
        """What those assignments allow. Whoever holds anything in a tenant may read its
        catalogue."""
        roles = self._roles.get(tenant, {})
        for name in (sub, EVERY):
            for ref in islice(self._holding.get((name, tenant), ()), 1):
                yield from catalogue_rules(tenant, ref.name)
        for each in self.assignments(sub, tenant, workspace):
            yield from assignment_rules(tenant, each.ref.name, each.spec, _there(roles, each))

    def all_rules(self, sub: str, tenant: str) -> Iterator[Rule]:
        """What a sub, or everybody, is allowed anywhere in a tenant."""
        roles = self._roles.get(tenant, {})
        for name in (sub, EVERY):
            for ref in self._holding.get((name, tenant), ()):
                given = self._assignments[ref]
                yield from assignment_rules(tenant, ref.name, given.spec, _there(roles, given))

    def roles(self, tenant: str) -> Mapping[str, Json]:
        return {name: role.spec for name, role in self._roles.get(tenant, {}).items()}

    def subs(self, tenant: str) -> Sequence[str]:
        """Everybody whom an assignment of a tenant names."""
        named = {
            sub
            for ref in self._of_tenant.get(tenant, ())
            for sub in self._assignments[ref].spec["subs"]
        }
        return sorted(named)


def _places(given: Granted) -> set[Place]:
    tenant = given.ref.scope("tenants")
    workspaces = {
        workspace
        for scope in given.spec["scopes"]
        if lies_in(scope, tenant)
        for workspace in scope.get("workspaces") or (EVERY,)
    }
    return {(sub, tenant, workspace) for sub in given.spec["subs"] for workspace in workspaces}


def _there(roles: Mapping[str, Granted], assignment: Granted) -> dict[str, Json]:
    """The roles that were there when the assignment was written: one that is deleted and made anew
    comes back to nobody by itself (A-20)."""
    named: Iterable[str] = assignment.spec["roles"]
    return {
        name: roles[name].spec
        for name in named
        if name in roles and roles[name].life <= assignment.intended
    }
