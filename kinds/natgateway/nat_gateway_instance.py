"""NAT gateway: gives many private addresses access to the internet through one public IP.

SECA `seca.nat-gateway/v1beta1` (extensions.natgateway.v1beta1)."""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from secaplane.kinds.natgateway import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec
from secaplane.model.shape import Reference, Wire, Zone


class InternetNatGatewayInstanceSpec(Wire, frozen=True):
    public_ip_ref: Reference
    nic_ref: Reference
    zone: Zone
    security_group_ref: Reference | UnsetType = UNSET


def nic_is_in_zone(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """ "The NIC needs to be in the same zone as the NAT Gateway instance"."""
    subnet = proposed.targets.get("/nicRef/subnetRef")
    if subnet is not None and subnet.spec["zone"] != proposed.spec["zone"]:
        zone = subnet.spec["zone"]
        yield BrokenRule(f"is in zone {zone}: choose a NIC in the gateway's zone", "/spec/nicRef")


KIND = Kind(
    provider=PROVIDER,
    name="nat-gateway-instance",
    title="InternetNatGatewayInstance",
    collection="tenants/{tenant}/workspaces/{workspace}/internet-nat-gateway-instances",
    spec=InternetNatGatewayInstanceSpec,
    rules=SpecRules(
        zones=("/zone",),
        compared=(
            ComparedRule(
                fields=("/nicRef", "/zone"),
                check=nic_is_in_zone,
                targets=("/nicRef",),
                follows=(("/nicRef", "/subnetRef"),),
            ),
        ),
    ),
    links=(
        Link(at="/publicIpRef", to=("public-ip",), blocks_deletion=True),
        Link(
            at="/nicRef",
            to=("nic",),
            blocks_deletion=True,
            affects_status=True,
            fails_with_target=True,
        ),
        Link(at="/securityGroupRef", to=("security-group",)),
    ),
)
