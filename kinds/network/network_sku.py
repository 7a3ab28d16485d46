"""Network SKU: a bandwidth and packet rate in the catalogue.

SECA `seca.network/v1` (foundation.network.v1)."""

from typing import Annotated

from msgspec import Meta

from secaplane.kinds.network import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire


class NetworkSkuSpec(Wire, frozen=True):
    bandwidth: Annotated[int, Meta(ge=1, le=800_000)]
    """Mbit/s."""
    packets: Annotated[int, Meta(ge=1, le=200_000_000_000)]
    """Per second."""


KIND = Kind(
    provider=PROVIDER,
    name="network-sku",
    title="Sku",
    collection="tenants/{tenant}/skus",
    spec=NetworkSkuSpec,
    backing=Backing.CATALOGUE,
)
