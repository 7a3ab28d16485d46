"""Object storage account: credentials for an S3 endpoint, which serves the buckets itself.

SECA `seca.object-storage/v1beta1` (extensions.objectstorage.v1beta1)."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.objectstorage import PROVIDER
from secaplane.model.kind import Exposure, Kind, Secrets
from secaplane.model.shape import Status


class ObjectStorageAccountStatus(Status, frozen=True):
    access_key: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    secret_key: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    canonical_user_id: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="object-storage-account",
    title="Account",
    collection="tenants/{tenant}/accounts",
    spec=dict[str, Any],
    status=ObjectStorageAccountStatus,
    secrets=Secrets(status=("/secretKey",)),
    exposure=Exposure(former_collections=("tenants/{tenant}/workspaces/{workspace}/accounts",)),
)
