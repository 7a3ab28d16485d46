"""Role assignment: grants roles to subjects (subs) within scopes of tenants, regions, workspaces.

SECA `seca.authorization/v1` (foundation.authorization.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.authorization import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import (
    AbsentMeansAll,
    Backing,
    DerivedStatus,
    Kind,
    Link,
    SpecRules,
)
from secaplane.model.shape import Json, Ref, Wire
from secaplane.model.subject import broken_subjects

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Sub = Annotated[str, Meta(min_length=1, max_length=128)]

EVERY = "*"
NAMED_MAX = 1024
"""Limit over all scopes of one assignment, because evaluating them blocks the event loop."""


class Scope(Wire, frozen=True):
    """A dimension left out means: this tenant, all regions, all workspaces."""

    tenants: Annotated[tuple[Id, ...], Meta(max_length=64)] | UnsetType = UNSET
    regions: Annotated[tuple[Id, ...], Meta(max_length=64)] | UnsetType = UNSET
    workspaces: Annotated[tuple[Id, ...], Meta(max_length=256)] | UnsetType = UNSET


class RoleAssignmentSpec(Wire, frozen=True):
    subs: Annotated[tuple[Sub, ...], Meta(min_length=1, max_length=256)]
    """Callers, or groups of callers (`group:<issuer prefix><name>`); `*` is every caller."""
    roles: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=32)]
    """Names, not references."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=256)]


def within_limits(spec: Json) -> Iterable[BrokenRule]:
    yield from broken_subjects(spec["subs"], "/spec/subs")
    named = sum(len(each) for scope in spec["scopes"] for each in scope.values())
    if named > NAMED_MAX:
        detail = f"name {named} tenants, regions and workspaces, over the limit of {NAMED_MAX}"
        yield BrokenRule(f"{detail}; split the assignment", "/spec/scopes")


def without_workspace(spec: Json, gone: Ref, region: str) -> Json:
    """The spec without a workspace of a region. Where it was the only workspace of a scope, the
    whole scope goes: without its list it would mean all workspaces."""
    scopes = [
        left for scope in spec["scopes"] for left in _without_workspace(scope, gone.name, region)
    ]
    return spec | {"scopes": scopes}


def _without_workspace(scope: Json, gone: str, region: str) -> list[Json]:
    """The parts that are left of a scope. One that names other regions, too, is left as it is
    there."""
    workspaces, regions = scope.get("workspaces", ()), scope.get("regions", (EVERY,))
    if gone not in workspaces or not {region, EVERY}.intersection(regions):
        return [scope]
    rest = [each for each in workspaces if each != gone]
    elsewhere = [] if EVERY in regions else [each for each in regions if each != region]
    if not elsewhere:
        return [scope | {"workspaces": rest}] if rest else []
    left = [scope | {"regions": elsewhere}]
    return [*left, scope | {"regions": [region], "workspaces": rest}] if rest else left


def remark(spec: Json) -> str:
    """The control plane removes roles and workspaces that go; nothing may be left."""
    missing = [field for field in ("roles", "scopes") if not spec[field]]
    if not missing:
        return ""
    absent = " and no ".join(missing)
    return f"grants nothing: it has no {absent} left; send a PUT with some, or delete it"


KIND = Kind(
    provider=PROVIDER,
    name="role-assignment",
    title="RoleAssignment",
    collection="tenants/{tenant}/role-assignments",
    spec=RoleAssignmentSpec,
    links=(
        Link(
            at="/roles/*",
            to=("role",),
            deferrable_as="role_assignment_roles",
            removed_with_target=True,
        ),
        Link(at="/scopes/*/tenants/*", to=("tenant",), allows_wildcard=True),
        Link(at="/scopes/*/regions/*", to=("region",), allows_wildcard=True),
        Link(
            at="/scopes/*/workspaces/*",
            to=("workspace",),
            strict=False,
            allows_wildcard=True,
            removed_with_target=True,
            removal=without_workspace,
        ),
    ),
    rules=SpecRules(
        absent_means_all=(
            AbsentMeansAll("/scopes/*/tenants"),
            AbsentMeansAll("/scopes/*/regions"),
            AbsentMeansAll("/scopes/*/workspaces"),
        ),
        check=within_limits,
    ),
    derived=DerivedStatus(remark=remark),
    backing=Backing.RECORD,
)
