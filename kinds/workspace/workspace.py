"""Workspace: a group of resources of a tenant, and a scope of role assignments.

SECA `seca.workspace/v1` (foundation.workspace.v1)."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.workspace import PROVIDER
from secaplane.model.kind import (
    SCOPE_LENGTH_MAX,
    CompanionResource,
    DerivedStatus,
    Kind,
    Ownership,
    SpecRules,
)
from secaplane.model.shape import Json, Ref, Status


class WorkspaceStatus(Status, frozen=True):
    resource_count: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


def administration(ref: Ref, spec: Json, creator: str) -> CompanionResource:
    """The creator of a workspace becomes its administrator."""
    tenant = ref.path.rpartition("/workspaces/")[0]
    assignment = {
        "subs": [creator],
        "roles": ["seca.workspace-admin"],
        "scopes": [{"workspaces": [ref.name]}],
    }
    path = f"{tenant}/role-assignments/{ref.name}.creator"
    return CompanionResource("role-assignment", path, assignment)


KIND = Kind(
    provider=PROVIDER,
    name="workspace",
    title="Workspace",
    collection="tenants/{tenant}/workspaces",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=dict[str, Any],
    status=WorkspaceStatus,
    rules=SpecRules(optional=True),
    owned=Ownership(companion=administration),
    derived=DerivedStatus(resource_count=True),
)
