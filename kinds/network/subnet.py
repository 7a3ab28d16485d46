"""Subnet: a part of a network's address range, in one zone.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.kinds.network.network import (
    Cidr,
    former_ranges,
    known_ranges,
    ranges_by_place,
    settled_ranges,
)
from secaplane.model.address import UNSPECIFIED, contains, valid_address, valid_network
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec, UseRule
from secaplane.model.shape import Reference, Resource, Status, Wire, Zone


class SubnetSpec(Wire, frozen=True):
    cidr: Cidr
    zone: Zone
    route_table_ref: Reference
    sku_ref: Reference | UnsetType = UNSET


class SubnetStatus(Status, frozen=True):
    cidr: Cidr | UnsetType = UNSET
    route_table_ref: Reference | UnsetType = UNSET


def within_network(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """New and changed CIDRs are contained in the network's ranges, as far as those are known."""
    if (parent := proposed.parents.get("network")) is None:
        return
    before = proposed.before
    former = former_ranges(proposed)
    for (_, family), text in settled_ranges(proposed.spec, before).items():
        ranges = None if valid_network(text) in former else known_ranges(parent, family)
        if ranges is not None and not any(contains(each, valid_network(text)) for each in ranges):
            known = ", ".join(map(str, ranges)) or f"no {family} at all"
            yield BrokenRule(
                f"is outside of the network, which has {known}", f"/spec/cidr/{family}"
            )
    yield from _too_large(proposed, parent)


def _too_large(proposed: ProposedSpec, parent: Resource) -> Iterable[BrokenRule]:
    """An automatic CIDR needs room only; the cloud chooses its address."""
    settled = settled_ranges(proposed.spec, proposed.before)
    for (n, family), text in ranges_by_place(proposed.spec).items():
        ranges = None if (n, family) in settled else known_ranges(parent, family)
        size = valid_network(text).prefixlen
        if ranges is not None and not any(size >= each.prefixlen for each in ranges):
            known = ", ".join(map(str, ranges)) or f"no {family} at all"
            yield BrokenRule(f"has no room in the network: it has {known}", f"/spec/cidr/{family}")


def changes_range_of(proposed: ProposedSpec, nic: Resource) -> bool:
    """True if the range changes in which a NIC has an address, or waits for one."""
    new = settled_ranges(proposed.spec, proposed.before).values()
    kept = [valid_network(text) for text in new]
    changed = [each for each in former_ranges(proposed) if each not in kept]
    texts = [*nic.observed.get("addresses", ())]
    if not texts or nic.unsettled:
        texts += nic.spec.get("addresses", UNSPECIFIED.values())
    addresses = [valid_address(text) for text in texts]
    return any(
        each in within or (each.is_unspecified and each.version == within.version)
        for each in addresses
        for within in changed
    )


KIND = Kind(
    provider=PROVIDER,
    name="subnet",
    title="Subnet",
    collection="tenants/{tenant}/workspaces/{workspace}/networks/{network}/subnets",
    spec=SubnetSpec,
    status=SubnetStatus,
    rules=SpecRules(
        immutable=("/zone",),
        set_once=("/skuRef",),
        zones=("/zone",),
        compared=(ComparedRule(fields=("/cidr",), check=within_network, parents=("network",)),),
        in_use=(
            UseRule(
                fields=("/cidr",),
                uses=changes_range_of,
                detail="the range is in use by {}: delete or move them first",
                referrers=("nic",),
            ),
        ),
    ),
    links=(
        Link(at="/routeTableRef", to=("routing-table",)),
        Link(at="/skuRef", to=("network-sku",)),
    ),
)
