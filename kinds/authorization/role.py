"""Role: permissions (provider, resources, verbs) that role assignments grant to subjects.

SECA `seca.authorization/v1` (foundation.authorization.v1)."""

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from secaplane.kinds.authorization import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import SCOPE_LENGTH_MAX, Backing, Exposure, Kind, SpecRules
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
    each
    for name, version in VERSIONS.items()
    for each in (f"seca.{name}", f"seca.{name}/{version}")
)

SYSTEM_ROLES = frozenset(
    f"seca.{name}"
    for name in (
        "admin",
        "region-admin",
        "workspace-admin",
        "workspace-editor",
        "workspace-viewer",
    )
)
"""Their permissions are in `policy.grants.system_roles`."""

LINES_MAX = 10_000
"""Limit of resources times verbs, because evaluating them blocks the event loop."""

Verb = Annotated[
    str,
    Meta(
        min_length=1,
        pattern=r"^(?:\*|[Gg][Ee][Tt]|[Ll][Ii][Ss][Tt]|[Pp][Uu][Tt]|[Dd][Ee][Ll][Ee][Tt][Ee]"
        r"|[Pp][Oo][Ss][Tt](?:\.[A-Za-z]{1,32})?)$",
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


def names_known_providers(spec: Json) -> Iterable[BrokenRule]:
    lines = sum(len(each["resources"]) * len(each["verb"]) for each in spec["permissions"])
    if lines > LINES_MAX:
        detail = f"hold {lines} resources times verbs, over the limit of {LINES_MAX}; split them"
        yield BrokenRule(detail, "/spec/permissions")
    for n, permission in enumerate(spec["permissions"]):
        pointer = f"/spec/permissions/{n}"
        if permission["provider"] not in PROVIDERS:
            yield BrokenRule(
                "is no provider of SECA, such as seca.compute/v1", f"{pointer}/provider"
            )
        for m, verb in enumerate(permission["verb"]):
            if not re.fullmatch(r"\*|[A-Za-z.]+", verb):
                yield BrokenRule("is no verb, such as get or post.start", f"{pointer}/verb/{m}")


KIND = Kind(
    provider=PROVIDER,
    name="role",
    title="Role",
    collection="tenants/{tenant}/roles",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=RoleSpec,
    rules=SpecRules(check=names_known_providers),
    backing=Backing.RECORD,
    exposure=Exposure(reserved_prefix="seca.", builtin_names=SYSTEM_ROLES),
)
