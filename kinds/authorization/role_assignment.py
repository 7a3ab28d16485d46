"""Role assignment: grants roles to subjects (subs) within scopes of tenants, regions, workspaces.

SECA `seca.authorization/v1` (foundation.authorization.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.authorization import PROVIDER
from secaplane.model.actor import GROUP
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import AbsentMeansAll, Backing, Kind, Link, ParentsByKind, SpecRules
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
    """Callers, or groups of callers (`group:<issuer prefix><name>`); `*` is every caller."""
    roles: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=32)]
    """Names, not references."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=256)]


def within_limits(old: Json | None, new: Json, parents: ParentsByKind) -> Iterable[BrokenRule]:
    for n, sub in enumerate(new["subs"]):
        if sub == GROUP:
            yield BrokenRule(f"names no group: write {GROUP}<name>", f"/spec/subs/{n}")
    named = sum(len(each) for scope in new["scopes"] for each in scope.values())
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
    rules=SpecRules(
        absent_means_all=(
            AbsentMeansAll("/scopes/*/tenants"),
            AbsentMeansAll("/scopes/*/regions"),
            AbsentMeansAll("/scopes/*/workspaces"),
        ),
        check=within_limits,
    ),
    backing=Backing.RECORD,
)
