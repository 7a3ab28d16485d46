"""Instance SKU: a size of instance in the catalogue: cores, memory, GPUs.

SECA `seca.compute/v1` (foundation.compute.v1)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.compute import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire


class Gpu(Wire, frozen=True):
    count: Annotated[int, Meta(ge=1, le=16)]
    vendor: Literal["nvidia", "amd", "intel"]
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    ram: Annotated[int, Meta(ge=1, le=256)]
    """GB for each GPU."""


class InstanceSkuSpec(Wire, frozen=True):
    v_cpu: Annotated[int, Meta(ge=1, le=60)] = msgspec.field(name="vCPU")
    ram: Annotated[int, Meta(ge=1, le=65536)]
    """GB."""
    gpu: Gpu | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="instance-sku",
    title="Sku",
    collection="tenants/{tenant}/skus",
    spec=InstanceSkuSpec,
    backing=Backing.CATALOGUE,
)
