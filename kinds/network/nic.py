"""NIC: a network interface with addresses in a subnet, for an instance to use.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.kinds.network.network import known_ranges
from secaplane.model.address import IpAddress, unusable, valid_address
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec, UseRule
from secaplane.model.shape import Reference, Resource, Status, Wire

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


def addresses_are_in_subnet(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """Addresses that are given are in the subnet, as far as its ranges are known, and none of those
    that are reserved in it."""
    subnet = proposed.targets.get("/subnetRef")
    for n, text in enumerate(proposed.spec.get("addresses", ())):
        host, pointer = valid_address(text), f"/spec/addresses/{n}"
        if host.is_unspecified:
            continue
        family = f"ipv{host.version}"
        ranges = None if subnet is None else known_ranges(subnet, family)
        if reason := unusable(host, ranges or ()):
            yield BrokenRule(f"{reason}: choose another address", pointer)
        elif ranges is not None and not any(host in each for each in ranges):
            known = ", ".join(map(str, ranges)) or f"no {family} range"
            yield BrokenRule(f"is outside of the subnet, which has {known}", pointer)


def moves_out_of_zone(proposed: ProposedSpec, gateway: Resource) -> bool:
    """True if the NIC of a NAT gateway moves to a subnet in another zone than the gateway's."""
    subnet = proposed.targets.get("/subnetRef")
    return subnet is not None and bool(subnet.spec["zone"] != gateway.spec["zone"])


KIND = Kind(
    provider=PROVIDER,
    name="nic",
    title="Nic",
    collection="tenants/{tenant}/workspaces/{workspace}/nics",
    spec=NicSpec,
    status=NicStatus,
    rules=SpecRules(
        set_once=("/skuRef",),
        empty_is_absent=("addresses",),
        compared=(
            ComparedRule(
                fields=("/addresses", "/subnetRef"),
                check=addresses_are_in_subnet,
                targets=("/subnetRef",),
            ),
        ),
        in_use=(
            UseRule(
                fields=("/subnetRef",),
                uses=moves_out_of_zone,
                detail="the zone of the NIC is in use by {}: choose a subnet in the same zone",
                referrers=("nat-gateway-instance",),
            ),
        ),
    ),
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
