"""NAT gateway: gives many private addresses access to the internet through one public IP.

SECA `seca.nat-gateway/v1beta1` (extensions.natgateway.v1beta1)."""

from msgspec import UNSET, UnsetType

from secaplane.kinds.natgateway import PROVIDER
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.shape import Reference, Wire, Zone


class InternetNatGatewayInstanceSpec(Wire, frozen=True):
    public_ip_ref: Reference
    nic_ref: Reference
    zone: Zone
    security_group_ref: Reference | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="nat-gateway-instance",
    title="InternetNatGatewayInstance",
    collection="tenants/{tenant}/workspaces/{workspace}/internet-nat-gateway-instances",
    spec=InternetNatGatewayInstanceSpec,
    rules=SpecRules(zones=("/zone",)),
    links=(
        Link(at="/publicIpRef", to=("public-ip",), blocks_deletion=True),
        Link(at="/nicRef", to=("nic",), blocks_deletion=True),
        Link(at="/securityGroupRef", to=("security-group",)),
    ),
)
