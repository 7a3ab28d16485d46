"""Roles and assignments -> rules: who may what, where. Pure (digest, section 11; CONTRACT: Who
may)."""

from collections.abc import Iterator, Mapping

import msgspec

from kinds import KINDS
from model.shape import Json
from policy.system_roles import READ, SYSTEM_ROLES

EVERY = "*"
NO_WORKSPACE = ""
STANDARD = "seca."
"""How the names of providers begin that roles can speak of."""
_OFFERING = sorted({k.provider.name for k in KINDS.values() if k.offered and k.scope})


class Rule(msgspec.Struct, frozen=True):
    """One line of casbin's policy, in the order `model.conf` defines."""

    provider: str
    resource: str
    verb: str
    tenant: str
    region: str
    workspace: str
    assignment: str
    """Which assignment, and which role in it, says so: for the event's envelope."""


def operator_rules() -> Iterator[Rule]:
    """What the callers whom the configuration names may: bring tenants into being."""
    for verb in ("get", "list", "put"):
        yield Rule("secaplane.admin", "tenants/*", verb, EVERY, EVERY, EVERY, "configuration")


def everyone_rules() -> Iterator[Rule]:
    """What any authenticated caller may: read the regions."""
    for verb in READ:
        yield Rule("seca.region", "regions/*", verb, EVERY, EVERY, EVERY, "everyone")


def assignment_rules(
    tenant: str, name: str, spec: Json, roles: Mapping[str, Json]
) -> Iterator[Rule]:
    """What one assignment of a tenant allows each of its subs; `roles` are the tenant's own, by
    name."""
    for scope in spec["scopes"]:
        for place in places(tenant, scope):
            for role in spec["roles"]:
                said_by = f"{name}/{role}"
                found = SYSTEM_ROLES.get(role) or roles.get(role)
                if found is not None:
                    yield from role_rules(found, place, said_by)


def lies_in(scope: Json, tenant: str) -> bool:
    """Whether a scope covers anything in the tenant of its assignment."""
    named = scope.get("tenants") or [tenant]
    return tenant in named or EVERY in named


def places(tenant: str, scope: Json) -> Iterator[tuple[str, str, str]]:
    """(tenant, region, workspace): a missing dimension is this tenant, all regions, all workspaces.

    An assignment gives away only what lies in its own tenant, whatever tenants it names: otherwise
    every administrator could become everybody's.
    """
    if not lies_in(scope, tenant):
        return
    for region in scope.get("regions") or [EVERY]:
        for workspace in scope.get("workspaces") or [EVERY]:
            yield tenant, region, workspace


def role_rules(role: Json, place: tuple[str, str, str], said_by: str) -> Iterator[Rule]:
    for permission in role["permissions"]:
        provider = permission["provider"].partition("/")[0]
        if not provider.startswith(STANDARD):
            continue  # what is the house's own is given by its configuration alone
        for pattern in permission["resources"]:
            for verb in permission["verb"]:
                yield Rule(provider, pattern, verb.lower(), *place, said_by)


def catalogue_rules(tenant: str, name: str) -> Iterator[Rule]:
    """What whoever an assignment names may read in its tenant."""
    for provider in _OFFERING:
        for verb in READ:
            yield Rule(provider, "skus/*", verb, tenant, EVERY, EVERY, f"{name}/catalogue")
