"""Route table: the routes of the traffic that leaves the subnets of a network.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.kinds.network.network import known_ranges
from secaplane.model.address import CidrBlock, contains, range_of
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec
from secaplane.model.shape import Json, PartStatus, Reference, Status, Wire


class Route(Wire, frozen=True):
    destination_cidr_block: CidrBlock
    target_ref: Reference
    """A gateway, an instance, or an address in the network."""


class RouteTableSpec(Wire, frozen=True):
    routes: Annotated[tuple[Route, ...], Meta(min_length=1, max_length=1000)]


class RouteTableStatus(Status, frozen=True):
    routes: Annotated[tuple[PartStatus, ...], Meta(max_length=1000)] | UnsetType = UNSET
    """One for each route, in its order."""


def targets_are_in_network(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """An address as a target is "part of the network", as far as its ranges are known."""
    if (parent := proposed.parents.get("network")) is None:
        return
    for n, route in enumerate(proposed.spec["routes"]):
        target = range_of(route["targetRef"]["resource"])
        if target is None:
            continue
        family = f"ipv{target.version}"
        ranges = known_ranges(parent, family)
        if ranges is not None and not any(contains(each, target) for each in ranges):
            known = ", ".join(map(str, ranges)) or f"no {family} range"
            yield BrokenRule(
                f"is outside of the network, which has {known}", f"/spec/routes/{n}/targetRef"
            )


def targets_are_single(spec: Json) -> Iterable[BrokenRule]:
    """ "The target can be an instance, an gateway or an IP address", perhaps with the length of its
    prefix: no range of several."""
    for n, route in enumerate(spec["routes"]):
        target = range_of(route["targetRef"]["resource"])
        if target is not None and target.num_addresses > 1:
            yield BrokenRule(
                "is a range: a route leads to one address, a gateway or an instance",
                f"/spec/routes/{n}/targetRef",
            )


KIND = Kind(
    provider=PROVIDER,
    name="routing-table",
    title="RouteTable",
    collection="tenants/{tenant}/workspaces/{workspace}/networks/{network}/route-tables",
    spec=RouteTableSpec,
    status=RouteTableStatus,
    rules=SpecRules(
        check=targets_are_single,
        compared=(
            ComparedRule(fields=("/routes",), check=targets_are_in_network, parents=("network",)),
        ),
    ),
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
