"""Route table: the routes of the traffic that leaves the subnets of a network.

SECA `seca.network/v1` (foundation.network.v1)."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import CidrBlock
from secaplane.model.kind import Kind, Link
from secaplane.model.shape import PartStatus, Reference, Status, Wire


class Route(Wire, frozen=True):
    destination_cidr_block: CidrBlock
    target_ref: Reference
    """A gateway, an instance, or an address in the network."""


class RouteTableSpec(Wire, frozen=True):
    routes: Annotated[tuple[Route, ...], Meta(min_length=1, max_length=1000)]


class RouteTableStatus(Status, frozen=True):
    routes: Annotated[tuple[PartStatus, ...], Meta(max_length=1000)] | UnsetType = UNSET
    """One for each route, in its order."""


KIND = Kind(
    provider=PROVIDER,
    name="routing-table",
    title="RouteTable",
    collection="tenants/{tenant}/workspaces/{workspace}/networks/{network}/route-tables",
    spec=RouteTableSpec,
    status=RouteTableStatus,
    links=(
        Link(
            at="/routes/*/targetRef",
            to=("internet-gateway", "nat-gateway-instance"),
            affects_status=True,
        ),
        Link(
            at="/routes/*/targetRef",
            to=("instance",),
            strict=False,
            allows_address=True,
            affects_status=True,
        ),
    ),
)
