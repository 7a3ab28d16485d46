"""A role: what its holders may do."""

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from secaplane.kinds.authorization import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Backing, Exposure, Kind, ParentsByKind, SpecRules
from secaplane.model.shape import Json, Wire

VERSIONS = {
    **dict.fromkeys(
        ("region", "authorization", "workspace", "compute", "storage", "network"), "v1"
    ),
    **dict.fromkeys(
        ("kubernetes", "load-balancer", "nat-gateway", "object-storage", "activity-log"), "v1beta1"
    ),
}
"""The providers of the standard, whether this house serves them or not (digest, section 2)."""
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
"""What they allow, `policy.system_roles` says."""

LINES_MAX = 10_000
"""Resources times verbs. Whoever judges them keeps everybody else waiting."""

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


def speaks_of_what_there_is(
    old: Json | None, new: Json, around: ParentsByKind
) -> Iterable[BrokenRule]:
    lines = sum(len(each["resources"]) * len(each["verb"]) for each in new["permissions"])
    if lines > LINES_MAX:
        words = f"come to {lines} resources times verbs, and {LINES_MAX} is the most; split them"
        yield BrokenRule(words, "/spec/permissions")
    for n, permission in enumerate(new["permissions"]):
        here = f"/spec/permissions/{n}"
        if permission["provider"] not in PROVIDERS:
            yield BrokenRule("is no provider of SECA, such as seca.compute/v1", f"{here}/provider")
        for m, verb in enumerate(permission["verb"]):
            if not re.fullmatch(r"\*|[A-Za-z.]+", verb):
                yield BrokenRule("is no verb", f"{here}/verb/{m}")


KIND = Kind(
    provider=PROVIDER,
    name="role",
    title="Role",
    collection="tenants/{tenant}/roles",
    spec=RoleSpec,
    rules=SpecRules(check=speaks_of_what_there_is),
    backing=Backing.RECORD,
    exposure=Exposure(reserved_prefix="seca.", builtin_names=SYSTEM_ROLES),
)
