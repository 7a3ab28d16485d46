"""Image: a copy of a volume, from which new volumes start.

SECA foundation.storage.v1 (digest, section 12.5)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.storage import PROVIDER
from secaplane.model.kind import Exposure, Kind, Link
from secaplane.model.shape import Reference, Status, Wire


class ImageSpec(Wire, frozen=True):
    block_storage_ref: Reference
    """Must name the workspace, because an image belongs to none."""
    cpu_architecture: Literal["amd64", "arm64"]
    boot: Literal["UEFI", "BIOS"] = "UEFI"
    initializer: Literal["none", "cloudinit-22"] = "none"


class ImageStatus(Status, frozen=True):
    size_mb: Annotated[int, Meta(ge=1)] | UnsetType = msgspec.field(name="sizeMB", default=UNSET)


KIND = Kind(
    provider=PROVIDER,
    name="image",
    title="Image",
    collection="tenants/{tenant}/images",
    spec=ImageSpec,
    status=ImageStatus,
    links=(
        Link(
            at="/blockStorageRef",
            to=("block-storage",),
            deferrable_as="image_block_storage",
            affects_status=True,
        ),
    ),
    exposure=Exposure(to_all_tenants=True),
)
