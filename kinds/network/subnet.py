"""Subnet: a part of a network's address range, in one zone.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable, Iterator

from msgspec import UNSET, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.kinds.network.network import Cidr
from secaplane.model.address import Network, automatic, network
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, ParentsByKind, SpecRules
from secaplane.model.shape import Json, Reference, Resource, Status, Wire, Zone


class SubnetSpec(Wire, frozen=True):
    cidr: Cidr
    zone: Zone
    route_table_ref: Reference
    sku_ref: Reference | UnsetType = UNSET


class SubnetStatus(Status, frozen=True):
    cidr: Cidr | UnsetType = UNSET
    route_table_ref: Reference | UnsetType = UNSET


def within_network(old: Json | None, new: Json, parents: ParentsByKind) -> Iterable[BrokenRule]:
    """New and changed CIDRs are contained in the network's ranges, as far as those are known."""
    if (parent := parents.get("network")) is None:
        return
    former = old["cidr"] if old else {}
    for version, text in new["cidr"].items():
        ranges = None if text == former.get(version) else _ranges(parent, version)
        if ranges is None or any(_fits(text, each) for each in ranges):
            continue
        known = ", ".join(str(each) for each in ranges) or f"no {version} at all"
        yield BrokenRule(f"is outside of the network, which has {known}", f"/spec/cidr/{version}")


def _ranges(parent: Resource, version: str) -> list[Network] | None:
    """The network's ranges; None while the cloud has yet to choose one. Desired ranges count, too,
    before the cloud reports them."""
    sources = [parent.observed] if parent.observed else []
    if parent.unsettled or not sources:
        sources.append(parent.spec)
    texts = [text for source in sources for text in _texts(source, version)]
    return None if any(map(automatic, texts)) else [n for each in texts if (n := network(each))]


def _texts(source: Json, version: str) -> Iterator[str]:
    cidrs = (source["cidr"], *source.get("additionalCidrs", ()))
    yield from (cidr[version] for cidr in cidrs if version in cidr)


def _fits(text: str, within: Network) -> bool:
    """An automatic CIDR needs room only; the cloud chooses its address."""
    cidr = network(text)
    assert cidr is not None, "the schema requires a CIDR"
    contained = automatic(text) or cidr.network_address in within
    return contained and cidr.prefixlen >= within.prefixlen


KIND = Kind(
    provider=PROVIDER,
    name="subnet",
    title="Subnet",
    collection="tenants/{tenant}/workspaces/{workspace}/networks/{network}/subnets",
    spec=SubnetSpec,
    status=SubnetStatus,
    rules=SpecRules(
        immutable=("/zone",), set_once=("/skuRef",), zones=("/zone",), check=within_network
    ),
    links=(
        Link(at="/routeTableRef", to=("routing-table",)),
        Link(at="/skuRef", to=("network-sku",)),
    ),
)
