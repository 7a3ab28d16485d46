"""Storage SKU: a class of block storage in the catalogue: speed and durability.

SECA `seca.storage/v1` (foundation.storage.v1)."""

from typing import Annotated, Literal

from msgspec import Meta

from secaplane.kinds.storage import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire


class StorageSkuSpec(Wire, frozen=True):
    iops: Annotated[int, Meta(ge=1, le=45000)]
    type: Literal["local-ephemeral", "local-durable", "remote-durable"]
    min_volume_size: Annotated[int, Meta(ge=1)]
    """GB. The smallest size with the full performance; smaller volumes are allowed."""


KIND = Kind(
    provider=PROVIDER,
    name="storage-sku",
    title="Sku",
    collection="tenants/{tenant}/skus",
    spec=StorageSkuSpec,
    backing=Backing.CATALOGUE,
)
