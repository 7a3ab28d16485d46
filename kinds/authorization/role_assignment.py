"""Role assignment: grants roles to subjects (subs) within scopes of tenants, regions, workspaces.

SECA `seca.authorization/v1` (foundation.authorization.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.authorization import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Backing, Kind, Link, SpecRules
from secaplane.model.shape import Json, Wire

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Sub = Annotated[str, Meta(min_length=1, max_length=128)]

NAMED_MAX = 1024
"""Limit over all scopes of one assignment, because evaluating them blocks the event loop."""


class Scope(Wire, frozen=True):
    """A dimension left out means: this tenant, all regions, all workspaces."""

    tenants: Annotated[tuple[Id, ...], Meta(max_length=64)] | UnsetType = UNSET
    regions: Annotated[tuple[Id, ...], Meta(max_length=64)] | UnsetType = UNSET
    workspaces: Annotated[tuple[Id, ...], Meta(max_length=256)] | UnsetType = UNSET


class RoleAssignmentSpec(Wire, frozen=True):
    subs: Annotated[tuple[Sub, ...], Meta(min_length=1, max_length=256)]
    roles: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=32)]
    """Names, not references."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=256)]


def within_size_limit(spec: Json) -> Iterable[BrokenRule]:
    named = sum(len(each) for scope in spec["scopes"] for each in scope.values())
    if named > NAMED_MAX:
        detail = f"name {named} tenants, regions and workspaces, over the limit of {NAMED_MAX}"
        yield BrokenRule(f"{detail}; split the assignment", "/spec/scopes")


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
        Link(at="/scopes/*/workspaces/*", to=("workspace",), strict=False, allows_wildcard=True),
    ),
    rules=SpecRules(check=within_size_limit),
    backing=Backing.RECORD,
)
