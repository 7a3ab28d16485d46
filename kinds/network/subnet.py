"""A part of a network, in one zone."""

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


def lies_in_its_network(old: Json | None, new: Json, around: ParentsByKind) -> Iterable[BrokenRule]:
    """As far as the network's ranges are known yet, and asked of what is new or changed."""
    above = around.get("network")
    former = old["cidr"] if old else {}
    for family, text in new["cidr"].items() if above else ():
        ranges = None if text == former.get(family) else _ranges(above, family)
        fits = _fits_in if automatic(text) else _within
        mine = network(text)
        if ranges is None or any(fits(mine, each) for each in ranges):
            continue
        known = ", ".join(str(each) for each in ranges) or f"no {family} at all"
        yield BrokenRule(f"lies outside the network, which has {known}", f"/spec/cidr/{family}")


def _ranges(above: Resource | None, family: str) -> list[Network] | None:
    """None while the cloud has not chosen all of them. What is wanted of a network counts before
    the cloud has heard of it."""
    assert above is not None
    known = [above.observed] if above.observed else []
    if above.unsettled or not known:
        known.append(above.spec)
    texts = [text for said in known for text in _texts(said, family)]
    return None if any(map(automatic, texts)) else [n for each in texts if (n := network(each))]


def _texts(known: Json, family: str) -> Iterator[str]:
    yield from (
        cidr[family]
        for cidr in (known["cidr"], *known.get("additionalCidrs", ()))
        if family in cidr
    )


def _within(mine: Network | None, other: Network) -> bool:
    assert mine is not None, "the schema asks for a CIDR"
    first = mine.network_address
    return first in other and mine.prefixlen >= other.prefixlen


def _fits_in(mine: Network | None, other: Network) -> bool:
    assert mine is not None, "the schema asks for a CIDR"
    return mine.prefixlen >= other.prefixlen


KIND = Kind(
    provider=PROVIDER,
    name="subnet",
    title="Subnet",
    collection="tenants/{tenant}/workspaces/{workspace}/networks/{network}/subnets",
    spec=SubnetSpec,
    status=SubnetStatus,
    rules=SpecRules(
        immutable=("/zone",), set_once=("/skuRef",), zones=("/zone",), check=lies_in_its_network
    ),
    links=(
        Link(at="/routeTableRef", to=("routing-table",)),
        Link(at="/skuRef", to=("network-sku",)),
    ),
)
