"""Block storage: a volume (disk) for instances (SECA `seca.storage/v1`)."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.storage import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import DerivedStatus, Kind, Link, QuotaWeight, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec
from secaplane.model.shape import Reference, State, Status, Wire

GIGABYTES_MAX = 1_000_000


class BlockStorageSpec(Wire, frozen=True):
    size_gb: Annotated[int, Meta(ge=1, le=GIGABYTES_MAX)] = msgspec.field(name="sizeGB")
    sku_ref: Reference
    source_image_ref: Reference | UnsetType = UNSET


class BlockStorageStatus(Status, frozen=True):
    size_gb: Annotated[int, Meta(le=GIGABYTES_MAX)] = msgspec.field(name="sizeGB")
    attached_to: Reference | UnsetType = UNSET  # derived from its referrers, not reported


def sizes_only_grow(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """A growth that the cloud refused can be withdrawn, down to the size that the volume has."""
    before = proposed.before
    if before is None:
        return
    least = before.spec["sizeGB"]
    if before.state is State.ERROR:
        least = before.observed.get("sizeGB", 1)
    if proposed.spec["sizeGB"] < least:
        yield BrokenRule(f"is {least} GB and can only grow; ask for at least that", "/spec/sizeGB")


KIND = Kind(
    provider=PROVIDER,
    name="block-storage",
    title="BlockStorage",
    collection="tenants/{tenant}/workspaces/{workspace}/block-storages",
    spec=BlockStorageSpec,
    status=BlockStorageStatus,
    rules=SpecRules(
        immutable=("/skuRef",),
        compared=(ComparedRule(fields=("/sizeGB",), check=sizes_only_grow),),
    ),
    links=(
        Link(at="/skuRef", to=("storage-sku",)),
        Link(at="/sourceImageRef", to=("image",)),
    ),
    quota=(QuotaWeight("volumeGB", "/sizeGB"),),
    derived=DerivedStatus(initial=lambda spec: {"sizeGB": spec["sizeGB"]}, attached_to=True),
)
