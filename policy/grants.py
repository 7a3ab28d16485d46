"""Roles and assignments -> rules: who may what, where. Pure (digest, section 11; CONTRACT: Who
may)."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kinds import KINDS, PROVIDERS
from model.shape import Json

EVERY = "*"
NO_WORKSPACE = ""
STANDARD = "seca."
"""How the names of providers begin that roles can speak of."""
VERBS_READ = ("get", "list")
WRITE = ("get", "list", "put", "delete", "post")
_INSIDE = ("seca.network", "seca.compute", "seca.storage")


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


def _permissions(verbs: Iterable[str], providers: Iterable[str]) -> list[Json]:
    return [{"provider": p, "resources": [EVERY], "verb": list(verbs)} for p in providers]


SYSTEM_ROLES: Mapping[str, Json] = {
    "seca.admin": {
        "permissions": _permissions(WRITE, [p for p in PROVIDERS if p.startswith(STANDARD)])
    },
    "seca.region-admin": {
        "permissions": _permissions(WRITE, _INSIDE)
        + _permissions(("get", "list", "put", "delete"), ["seca.workspace"])
    },
    "seca.workspace-admin": {
        "permissions": _permissions(WRITE, _INSIDE)
        + _permissions(("get", "list", "put"), ["seca.workspace"])
    },
    "seca.workspace-editor": {"permissions": _permissions(("get", "list", "put", "post"), _INSIDE)},
    "seca.workspace-viewer": {
        "permissions": _permissions(VERBS_READ, [*_INSIDE, "seca.workspace"])
    },
}
"""Constants, not events: they exist in every tenant from its beginning."""


def operator_rules() -> Iterator[Rule]:
    """What the callers whom the configuration names may: make tenants, and revoke tokens."""
    for resource, verbs in (
        ("tenants/*", ("get", "list", "put")),
        ("revocations/*", ("get", "list", "put", "delete")),
    ):
        for verb in verbs:
            yield Rule("secaplane.admin", resource, verb, EVERY, EVERY, EVERY, "configuration")


def everyone_rules() -> Iterator[Rule]:
    """What any authenticated caller may: read the regions."""
    for verb in VERBS_READ:
        yield Rule("seca.region", "regions/*", verb, EVERY, EVERY, EVERY, "everyone")


def assignment_rules(
    tenant: str, name: str, spec: Json, roles: Mapping[str, Json]
) -> Iterator[Rule]:
    """What one assignment of a tenant allows each of its subs; `roles` are the tenant's own, by
    name.

    Whoever holds anything in a tenant may read its catalogue.
    """
    for scope in spec["scopes"]:
        for place in _places(tenant, scope):
            for role in spec["roles"]:
                said_by = f"{name}/{role}"
                found = SYSTEM_ROLES.get(role) or roles.get(role)
                if found is not None:
                    yield from _role_rules(found, place, said_by)
            yield from _catalogue_rules(place[0], name)


def _places(tenant: str, scope: Json) -> Iterator[tuple[str, str, str]]:
    """(tenant, region, workspace): a missing dimension is this tenant, all regions, all workspaces.

    An assignment gives away only what lies in its own tenant, whatever tenants it names: otherwise
    every administrator could become everybody's.
    """
    named = scope.get("tenants") or [tenant]
    if tenant not in named and EVERY not in named:
        return
    for region in scope.get("regions") or [EVERY]:
        for workspace in scope.get("workspaces") or [EVERY]:
            yield tenant, region, workspace


def _role_rules(role: Json, place: tuple[str, str, str], said_by: str) -> Iterator[Rule]:
    for permission in role["permissions"]:
        provider = permission["provider"].partition("/")[0]
        if not provider.startswith(STANDARD):
            continue  # what is the house's own is given by its configuration alone
        for pattern in permission["resources"]:
            for verb in permission["verb"]:
                yield Rule(provider, pattern, verb.lower(), *place, said_by)


def _catalogue_rules(tenant: str, name: str) -> Iterator[Rule]:
    for provider in sorted({k.provider.name for k in KINDS.values() if k.offered and k.scope}):
        for verb in VERBS_READ:
            yield Rule(provider, "skus/*", verb, tenant, EVERY, EVERY, f"{name}/catalogue")
