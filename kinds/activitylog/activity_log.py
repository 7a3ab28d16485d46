"""Activity log: the requests made in a workspace and their results, as a list that users can read.

SECA `seca.activity-log/v1beta1` (extensions.activitylog.v1beta1)."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.activitylog import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire


class ActivityRequest(Wire, frozen=True):
    resource: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    verb: Annotated[str, Meta(max_length=7)] | UnsetType = UNSET
    body: dict[str, Any] | UnsetType = UNSET
    """The spec in the request."""


class ActivityResponse(Wire, frozen=True):
    code: Annotated[int, Meta(ge=100, le=599)] | UnsetType = UNSET


class ActivityLogSpec(Wire, frozen=True):
    subject: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET
    request: ActivityRequest | UnsetType = UNSET
    response: ActivityResponse | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="activity-log",
    title="ActivityLog",
    collection="tenants/{tenant}/workspaces/{workspace}/activity-logs",
    spec=ActivityLogSpec,
    backing=Backing.VIEW,
)
