"""A caller can only give away what the caller holds (CONTRACT: Who may). Pure.

A role is judged as if it were given everywhere in its tenant, so that it does not matter which of a
role and its assignment is written first, or both at once.
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
    some,
)
from secaplane.policy.grants.system_roles import ALL

GIVEN_MAX = 10_000
"""Rules in one role, and in one assignment to parts of a tenant: judging more would keep everybody
else waiting."""
JUDGED_MAX = 200_000
"""Looks at what the author holds: half a second."""
TOO_MANY = "more at once than can be judged; split it"


def too_much(
    held: Iterable[Grant], ref: Ref, roles: Mapping[str, Role], old: Json | None, new: Json
) -> str:
    """The first thing that a role or an assignment gives away, beside what it gave before, and that
    none of the held grants includes; empty where there is none. To new subs, all of it is new.
    `roles` are the tenant's own."""
    try:
        return _beside(_Holding(held), ref, roles, old, new)
    except _TooMany:
        return TOO_MANY


def _beside(
    holding: "_Holding", ref: Ref, roles: Mapping[str, Role], old: Json | None, new: Json
) -> str:
    known = old if old and set(new.get("subs", ())) <= set(old.get("subs", ())) else None
    before = _given(ref, roles, known) if known else []
    given = _given(ref, roles, new)
    if sum(len(grant.role) for grant in given) > GIVEN_MAX:
        return TOO_MANY
    rest = [grant for grant in given if not _everywhere(holding, grant)]
    if not _few(rest):
        return TOO_MANY
    given_before = set(_by_verb(before)) if _few(before) else set()
    for rule in _by_verb(rest):
        if rule not in given_before and not holding.includes(rule):
            where = rule.workspace if rule.workspace != EVERY else "every workspace"
            return f"{rule.verb} on {rule.provider} {rule.resource} in {where}"
    return ""


class _TooMany(Exception):
    pass


class _Holding:
    """What somebody holds, by workspace; each role in each place once."""

    def __init__(self, held: Iterable[Grant]) -> None:
        self._left = JUDGED_MAX
        self._by_workspace: defaultdict[str, dict[Any, Grant]] = defaultdict(dict)
        for grant in held:
            for scope in grant.scopes:
                regions = tuple(some(scope, "regions"))
                for workspace in some(scope, "workspaces"):
                    self._count()
                    here = [{"regions": regions, "workspaces": (workspace,)}]
                    once = Grant(grant.role, grant.tenant, here, grant.said_by)
                    self._by_workspace[workspace][id(grant.role), grant.tenant, regions] = once

    def includes(self, given: Rule) -> bool:
        for workspace in {EVERY, given.workspace}:
            for grant in self._by_workspace.get(workspace, {}).values():
                self._count()
                if grant.includes(given):
                    return True
        return False

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMany


def _given(ref: Ref, roles: Mapping[str, Role], spec: Json) -> list[Grant]:
    tenant = ref.scope("tenants")
    if ref.kind == "role":
        return [Grant(Role(spec), tenant, ({},), "")]
    scopes = assignment_scopes(tenant, spec)
    return list(assignment_grants(tenant, "", spec, roles, scopes))


def _everywhere(holding: _Holding, given: Grant) -> bool:
    """Whoever holds all of a role in the whole tenant can give it in whatever part of it."""
    anywhere = msgspec.structs.replace(given, scopes=({},))
    return all(holding.includes(rule) for rule in _by_verb([anywhere]))


def _few(grants: Iterable[Grant]) -> bool:
    return sum(map(len, grants)) <= GIVEN_MAX


def _by_verb(grants: Iterable[Grant]) -> Iterator[Rule]:
    """Verb by verb, and collection by collection, so that who holds each of them holds all of them;
    and whoever says so. What means nothing that is served gives nothing away."""
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
"""Provider -> what its collections are called."""
