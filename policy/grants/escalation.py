"""No privilege escalation: a role or an assignment may grant only what its author holds
(docs/reference/api.md). Pure.

A role is judged as if it were assigned in its whole tenant, so that the order in which a role and
its assignment are written does not matter.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.rules import (
    Grant,
    Role,
    Rule,
    assignment_grants,
    assignment_scopes,
    dimension_of,
)
from secaplane.policy.grants.system_roles import ALL

GIVEN_MAX = 10_000
"""Rules in one role, and in one assignment to parts of a tenant: judging more would block the event
loop."""
COMPARISONS_MAX = 200_000
"""Comparisons with the author's grants: half a second."""
TOO_MANY = "more at once than can be judged; split it"


def excess(
    held: Iterable[Grant], ref: Ref, roles: Mapping[str, Role], old: Json | None, new: Json
) -> str:
    """The first permission of a role or an assignment that no held grant includes; empty where
    there is none. Permissions that it granted before the change do not count, unless the change
    adds subs. `roles` are the tenant's roles."""
    try:
        return _excess(_HeldGrants(held), ref, roles, old, new)
    except _TooManyComparisons:
        return TOO_MANY


def _excess(
    held: "_HeldGrants", ref: Ref, roles: Mapping[str, Role], old: Json | None, new: Json
) -> str:
    same_subs = old and set(new.get("subs", ())) <= set(old.get("subs", ()))
    before = _given(ref, roles, old) if old and same_subs else []
    given = _given(ref, roles, new)
    if sum(len(grant.role) for grant in given) > GIVEN_MAX:
        return TOO_MANY
    rest = [grant for grant in given if not _held_in_whole_tenant(held, grant)]
    if not _few(rest):
        return TOO_MANY
    given_before = set(_single_rules(before)) if _few(before) else set()
    for rule in _single_rules(rest):
        if rule not in given_before and not held.include(rule):
            where = rule.workspace if rule.workspace != EVERY else "every workspace"
            return f"{rule.verb} on {rule.provider} {rule.resource} in {where}"
    return ""


class _TooManyComparisons(Exception):
    pass


class _HeldGrants:
    """The author's grants by workspace; each role occurs once in each place."""

    def __init__(self, held: Iterable[Grant]) -> None:
        self._comparisons_left = COMPARISONS_MAX
        self._by_workspace: defaultdict[str, dict[Any, Grant]] = defaultdict(dict)
        for grant in held:
            for scope in grant.scopes:
                regions = tuple(dimension_of(scope, "regions"))
                for workspace in dimension_of(scope, "workspaces"):
                    self._count()
                    scopes = [{"regions": regions, "workspaces": (workspace,)}]
                    single = Grant(grant.role, grant.tenant, scopes, grant.assignment)
                    self._by_workspace[workspace][id(grant.role), grant.tenant, regions] = single

    def include(self, rule: Rule) -> bool:
        for workspace in {EVERY, rule.workspace}:
            for grant in self._by_workspace.get(workspace, {}).values():
                self._count()
                if grant.includes(rule):
                    return True
        return False

    def _count(self) -> None:
        self._comparisons_left -= 1
        if self._comparisons_left < 0:
            raise _TooManyComparisons


def _given(ref: Ref, roles: Mapping[str, Role], spec: Json) -> list[Grant]:
    """The grants that a role or an assignment makes."""
    tenant = ref.scope("tenants")
    if ref.kind == "role":
        return [Grant(Role(spec), tenant, ({},), "")]
    scopes = assignment_scopes(tenant, spec)
    return list(assignment_grants(tenant, "", spec, roles, scopes))


def _held_in_whole_tenant(held: _HeldGrants, given: Grant) -> bool:
    """An author who holds all of a role in the whole tenant may assign it in any part of it."""
    whole = msgspec.structs.replace(given, scopes=({},))
    return all(held.include(rule) for rule in _single_rules([whole]))


def _few(grants: Iterable[Grant]) -> bool:
    return sum(map(len, grants)) <= GIVEN_MAX


def _single_rules(grants: Iterable[Grant]) -> Iterator[Rule]:
    """Rules of one verb and one collection each, without their assignment: an author who holds each
    of them, by whichever assignment, holds all. Collections that are not served grant nothing."""
    for rule in chain.from_iterable(grant.rules() for grant in grants):
        served = _SERVED.get(rule.provider, ())
        if rule.resource == EVERY:
            patterns = [f"{name}/*" for name in served]
        else:
            patterns = [rule.resource] if rule.resource.partition("/")[0] in served else []
        for pattern in patterns:
            for verb in ALL if rule.verb == EVERY else (rule.verb,):
                yield msgspec.structs.replace(rule, resource=pattern, verb=verb, assignment="")


_SERVED = {
    kind.provider.name: tuple(
        each.collection.rpartition("/")[2]
        for each in KINDS.values()
        if each.provider is kind.provider
    )
    for kind in KINDS.values()
}
"""Provider -> the names of its collections."""
