"""NIC: a network interface with addresses in a subnet, for an instance to use.

SECA `seca.network/v1` (foundation.network.v1)."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import IpAddress
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.shape import Reference, Status, Wire

References = Annotated[tuple[Reference, ...], Meta(max_length=16)]


class NicSpec(Wire, frozen=True):
    subnet_ref: Reference
    addresses: Annotated[tuple[IpAddress, ...], Meta(max_length=32)] | UnsetType = UNSET
    """`0.0.0.0` and `::` leave the choice to the cloud; absent or empty: one address for each
    family of the subnet."""
    public_ip_refs: References | UnsetType = UNSET
    security_group_refs: References | UnsetType = UNSET
    sku_ref: Reference | UnsetType = UNSET


class NicStatus(Status, frozen=True):
    addresses: Annotated[tuple[IpAddress, ...], Meta(max_length=32)] | UnsetType = UNSET
    mac_address: Annotated[str, Meta(max_length=17)] | UnsetType = UNSET
    public_ip_refs: References | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="nic",
    title="Nic",
    collection="tenants/{tenant}/workspaces/{workspace}/nics",
    spec=NicSpec,
    status=NicStatus,
    rules=SpecRules(set_once=("/skuRef",), empty_is_absent=("addresses",)),
    links=(
        Link(at="/subnetRef", to=("subnet",), blocks_deletion=True),
        Link(
            at="/publicIpRefs/*",
            to=("public-ip",),
            deferrable_as="nic_public_ips",
            blocks_deletion=True,
            affects_status=True,
        ),
        Link(at="/securityGroupRefs/*", to=("security-group",)),
        Link(at="/skuRef", to=("network-sku",)),
    ),
)
