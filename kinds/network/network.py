"""Network: a private network with the address ranges of its subnets.

SECA `seca.network/v1` (foundation.network.v1)."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import Cidr4, Cidr6
from secaplane.model.kind import SCOPE_LENGTH_MAX, DerivedStatus, Kind, Link, SpecRules
from secaplane.model.shape import Reference, Status, Wire


class Cidr(Wire, frozen=True):
    """One range, or one for each IP version. `0.0.0.0/16` leaves the choice to the cloud."""

    ipv4: Cidr4 | UnsetType = UNSET
    ipv6: Cidr6 | UnsetType = UNSET


Cidrs = Annotated[tuple[Cidr, ...], Meta(max_length=32)]


class NetworkSpec(Wire, frozen=True):
    cidr: Cidr
    sku_ref: Reference
    additional_cidrs: Cidrs | UnsetType = UNSET


class NetworkStatus(Status, frozen=True):
    cidr: Cidr
    additional_cidrs: Cidrs | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="network",
    title="Network",
    collection="tenants/{tenant}/workspaces/{workspace}/networks",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=NetworkSpec,
    status=NetworkStatus,
    rules=SpecRules(immutable=("/skuRef",)),
    links=(Link(at="/skuRef", to=("network-sku",)),),
    derived=DerivedStatus(
        initial=lambda spec: {
            "cidr": spec["cidr"],
            "additionalCidrs": spec.get("additionalCidrs", []),
        }
    ),
)
