"""A workspace: what resources lie in, and are allowed in, together."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from kinds.workspace import PROVIDER
from model.kind import Kind
from model.shape import Status


class WorkspaceStatus(Status, frozen=True):
    resource_count: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="workspace",
    title="Workspace",
    collection="tenants/{tenant}/workspaces",
    spec=dict[str, Any],
    status=WorkspaceStatus,
    spec_optional=True,
    counting=True,
)
