"""Block storage: a volume (disk) for instances (SECA `seca.storage/v1`)."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.storage import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import DerivedStatus, Kind, Link, ParentsByKind, QuotaWeight, SpecRules
from secaplane.model.shape import Json, Reference, Status, Wire

GIGABYTES_MAX = 1_000_000


class BlockStorageSpec(Wire, frozen=True):
    size_gb: Annotated[int, Meta(ge=1, le=GIGABYTES_MAX)] = msgspec.field(name="sizeGB")
    sku_ref: Reference
    source_image_ref: Reference | UnsetType = UNSET


class BlockStorageStatus(Status, frozen=True):
    size_gb: Annotated[int, Meta(le=GIGABYTES_MAX)] = msgspec.field(name="sizeGB")
    attached_to: Reference | UnsetType = UNSET  # derived from its referrers, not reported


def sizes_only_grow(old: Json | None, new: Json, parents: ParentsByKind) -> Iterable[BrokenRule]:
    if old and new["sizeGB"] < old["sizeGB"]:
        yield BrokenRule(
            f"is {old['sizeGB']} GB and can only grow; ask for at least that", "/spec/sizeGB"
        )


KIND = Kind(
    provider=PROVIDER,
    name="block-storage",
    title="BlockStorage",
    collection="tenants/{tenant}/workspaces/{workspace}/block-storages",
    spec=BlockStorageSpec,
    status=BlockStorageStatus,
    rules=SpecRules(immutable=("/skuRef",), check=sizes_only_grow),
    links=(
        Link(at="/skuRef", to=("storage-sku",)),
        Link(at="/sourceImageRef", to=("image",)),
    ),
    quota=(QuotaWeight("volumeGB", "/sizeGB"),),
    derived=DerivedStatus(initial=lambda spec: {"sizeGB": spec["sizeGB"]}, attached_to=True),
)
