"""Role: permissions (provider, resources, verbs) that role assignments grant to subjects.

SECA `seca.authorization/v1` (foundation.authorization.v1)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

from msgspec import Meta

from secaplane.kinds.authorization import PROVIDER
from secaplane.kinds.patterns import is_pattern, nearest_pattern
from secaplane.kinds.views import AUDIT
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import SCOPE_LENGTH_MAX, Backing, Exposure, Kind, SpecRules
from secaplane.model.power import ACTIONS
from secaplane.model.shape import Json, Wire

VERSIONS = {
    **dict.fromkeys(
        ("region", "authorization", "workspace", "compute", "storage", "network"), "v1"
    ),
    **dict.fromkeys(
        ("kubernetes", "load-balancer", "nat-gateway", "object-storage", "activity-log"), "v1beta1"
    ),
}
"""The providers of the standard, also those that are not served here (SECA: providers)."""
PROVIDERS = frozenset(
    (
        *(
            each
            for name, version in VERSIONS.items()
            for each in (f"seca.{name}", f"seca.{name}/{version}")
        ),
        *(AUDIT.name, AUDIT.full_name),
    )
)
"""Those and Secaplane's views of the log. Its provider of tenants is granted by configuration."""

SYSTEM_ROLES = frozenset(
    (
        "seca.admin",
        "seca.region-admin",
        "seca.workspace-admin",
        "seca.workspace-editor",
        "seca.workspace-viewer",
        "secaplane.auditor",
    )
)
"""Their permissions are in `policy.grants.system_roles`."""

LINES_MAX = 10_000
"""Limit of resources times verbs, because evaluating them blocks the event loop."""

VERBS = ("get", "list", "put", "delete", "post", "*")
MEANT = {
    "put": ("create", "update", "patch", "write", "edit", "modify"),
    "get": ("read", "view", "describe", "head"),
    "list": ("watch", "search"),
    "delete": ("remove", "destroy"),
    "post.<action>": ("start", "stop", "restart", "action"),
}
"""Verbs of SECA, and verbs of other systems that mean them."""
BROKEN_MAX = 100

Verb = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="get, list, put, delete, post, post.<action> or *, in either case",
    ),
]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]


class Permission(Wire, frozen=True):
    provider: Annotated[str, Meta(min_length=1, max_length=64)]
    resources: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=256)]
    verb: Annotated[tuple[Verb, ...], Meta(min_length=1, max_length=16)]


class RoleSpec(Wire, frozen=True):
    permissions: Annotated[tuple[Permission, ...], Meta(min_length=1, max_length=256)]


def has_an_effect(spec: Json) -> Iterable[BrokenRule]:
    """Every part of a role can allow something; at most BROKEN_MAX parts are refused at once."""
    lines = sum(len(each["resources"]) * len(each["verb"]) for each in spec["permissions"])
    if lines > LINES_MAX:
        detail = f"hold {lines} resources times verbs, over the limit of {LINES_MAX}; split them"
        yield BrokenRule(detail, "/spec/permissions")
        return  # reading all of them is what the limit avoids
    yield from islice(_without_effect(spec), BROKEN_MAX)


def _without_effect(role: Json) -> Iterator[BrokenRule]:
    for n, permission in enumerate(role["permissions"]):
        pointer, provider = f"/spec/permissions/{n}", permission["provider"]
        if provider not in PROVIDERS:
            yield BrokenRule(
                f"is no provider of SECA, such as seca.compute/v1, and not {AUDIT.full_name}",
                f"{pointer}/provider",
            )
        provider = provider.partition("/")[0]
        for m, pattern in enumerate(permission["resources"]):
            if provider in PROVIDERS and not is_pattern(provider, pattern):
                nearest = nearest_pattern(provider, pattern)
                detail = f"matches no resource of {provider}; the nearest pattern is {nearest}"
                yield BrokenRule(detail, f"{pointer}/resources/{m}")
        for m, verb in enumerate(permission["verb"]):
            if not _is_verb(verb):
                yield BrokenRule(_verb_advice(verb), f"{pointer}/verb/{m}")


def _is_verb(verb: str) -> bool:
    name, _, action = verb.lower().partition(".")
    return verb.lower() in VERBS or (name == "post" and action in ACTIONS)


def _verb_advice(verb: str) -> str:
    meant = [name for name, others in MEANT.items() if verb.lower() in others]
    if verb.lower().startswith("post."):
        return f"is no action; the actions are {', '.join(sorted(ACTIONS))}"
    advice = (
        "is no verb: use get, list, put (creates and updates), delete, post, post.<action> or *"
    )
    return f"{advice}; here most likely {meant[0]}" if meant else advice


KIND = Kind(
    provider=PROVIDER,
    name="role",
    title="Role",
    collection="tenants/{tenant}/roles",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=RoleSpec,
    rules=SpecRules(check=has_an_effect),
    backing=Backing.RECORD,
    exposure=Exposure(reserved_prefixes=("seca.", "secaplane."), builtin_names=SYSTEM_ROLES),
)
