"""Network: a private network with the address ranges of its subnets.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import (
    FAMILIES,
    PRIVATE,
    Cidr4,
    Cidr6,
    Network,
    automatic,
    contains,
    kept_choices,
    range_of,
    same_value,
    valid_network,
)
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import SCOPE_LENGTH_MAX, DerivedStatus, Kind, Link, SpecRules
from secaplane.model.rules import ComparedRule, ProposedSpec, UseRule
from secaplane.model.shape import Json, Reference, Resource, Status, Wire


class Cidr(Wire, frozen=True):
    """One range, or one for each IP version. `0.0.0.0/16` leaves the choice to the cloud."""

    ipv4: Cidr4 | UnsetType = UNSET
    ipv6: Cidr6 | UnsetType = UNSET


Cidrs = Annotated[tuple[Cidr, ...], Meta(max_length=32)]

RangePlace = tuple[int, str]
"""(index, field): index 0 is `cidr`, the others are `additionalCidrs`; field is `ipv4` or
`ipv6`."""


class NetworkSpec(Wire, frozen=True):
    cidr: Cidr
    sku_ref: Reference
    additional_cidrs: Cidrs | UnsetType = UNSET


class NetworkStatus(Status, frozen=True):
    cidr: Cidr
    additional_cidrs: Cidrs | UnsetType = UNSET


def ranges_by_place(source: Json) -> dict[RangePlace, str]:
    """The CIDRs in the spec or status of a network or a subnet; a status may be empty."""
    several = (source.get("cidr", {}), *source.get("additionalCidrs", ()))
    return {(n, family): text for n, each in enumerate(several) for family, text in each.items()}


def settled_ranges(spec: Json, before: Resource | None) -> dict[RangePlace, str]:
    """The ranges that a spec gives, or for which the cloud has chosen one."""
    if before is None:
        return kept_choices(ranges_by_place(spec), {}, {})
    former, chosen = ranges_by_place(before.spec), ranges_by_place(before.observed)
    return kept_choices(ranges_by_place(spec), former, chosen)


def former_ranges(proposed: ProposedSpec) -> list[Network]:
    """The ranges that the resource has before the PUT."""
    before = proposed.before
    settled = {} if before is None else settled_ranges(before.spec, before)
    return [valid_network(text) for text in settled.values()]


def known_ranges(resource: Resource, family: str) -> list[Network] | None:
    """The ranges of one family that a network or subnet is to have; None while the cloud has yet to
    choose one. A range that goes does not count, even while the cloud still has it."""
    settled = settled_ranges(resource.spec, resource)
    places = [place for place in ranges_by_place(resource.spec) if place[1] == family]
    if any(place not in settled for place in places):
        return None
    return [valid_network(settled[place]) for place in places]


def ranges_are_apart(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """ "All cidrs must be non-overlapping": those of one network."""
    given, former = ranges_by_place(proposed.spec), former_ranges(proposed)
    ranges = {
        p: valid_network(t) for p, t in settled_ranges(proposed.spec, proposed.before).items()
    }
    for one, other in combinations(ranges, 2):
        first, second = ranges[one], ranges[other]
        if first.version != second.version or not first.overlaps(second):
            continue
        if first in former and second in former and first != second:
            continue
        place, rest = (one, first) if automatic(given[other]) else (other, second)
        overlapped = first if rest is second else second
        yield BrokenRule(f"overlaps {overlapped}, another range of the network", _pointer(place))


def ranges_are_private(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """RFC 1918 and RFC 4193, unless the site allows all ranges."""
    former = former_ranges(proposed)
    for place, text in () if proposed.any_ranges else ranges_by_place(proposed.spec).items():
        cidr = valid_network(text)
        if automatic(text) or cidr in former:
            continue
        if not any(each.version == cidr.version and contains(each, cidr) for each in PRIVATE):
            known = ", ".join(str(each) for each in PRIVATE if each.version == cidr.version)
            yield BrokenRule(f"is not private: choose a part of {known}", _pointer(place))


def main_range_stays(proposed: ProposedSpec) -> Iterable[BrokenRule]:
    """The main range of a network that was active once: automatic and the range that was chosen for
    it are the same."""
    before = proposed.before
    if before is None or not before.was_active:
        return
    former = ranges_by_place(before.spec) | settled_ranges(before.spec, before)
    now = ranges_by_place(proposed.spec) | settled_ranges(proposed.spec, before)
    for family in FAMILIES:
        old, new = former.get((0, family)), now.get((0, family))
        if old != new and (old is None or new is None or not same_value(old, new)):
            has = f"is {old}" if old else "has no range of this family"
            yield BrokenRule(
                f"{has} and cannot change: use additionalCidrs, or another network",
                _pointer((0, family)),
            )


def loses_range_of(proposed: ProposedSpec, other: Resource) -> bool:
    """True if a subnet, or a route's target, is contained in a range that the network loses."""
    settled = settled_ranges(proposed.spec, proposed.before)
    new, old = [valid_network(text) for text in settled.values()], former_ranges(proposed)
    return any(_within(old, each) and not _within(new, each) for each in _occupied(other))


def _occupied(other: Resource) -> Iterator[Network]:
    """The ranges of a subnet, or the addresses that are targets in a route table."""
    texts = [*ranges_by_place(other.observed).values()]
    if "routes" in other.spec:
        texts = [route["targetRef"]["resource"] for route in other.spec["routes"]]
    elif not texts or other.unsettled:
        texts += (t for t in ranges_by_place(other.spec).values() if not automatic(t))
    yield from (cidr for text in texts if (cidr := range_of(text)) is not None)


def _within(ranges: Iterable[Network], part: Network) -> bool:
    return any(each.version == part.version and contains(each, part) for each in ranges)


def _pointer(place: RangePlace) -> str:
    n, family = place
    return f"/spec/additionalCidrs/{n - 1}/{family}" if n else f"/spec/cidr/{family}"


RANGES = ("/cidr", "/additionalCidrs")

KIND = Kind(
    provider=PROVIDER,
    name="network",
    title="Network",
    collection="tenants/{tenant}/workspaces/{workspace}/networks",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=NetworkSpec,
    status=NetworkStatus,
    rules=SpecRules(
        immutable=("/skuRef",),
        compared=(
            ComparedRule(fields=RANGES, check=ranges_are_apart),
            ComparedRule(fields=RANGES, check=ranges_are_private),
            ComparedRule(fields=("/cidr",), check=main_range_stays),
        ),
        in_use=(
            UseRule(
                fields=RANGES,
                uses=loses_range_of,
                detail="a range that goes is in use by {}: delete or change them first",
                children=("subnet", "routing-table"),
            ),
        ),
    ),
    links=(Link(at="/skuRef", to=("network-sku",)),),
    derived=DerivedStatus(
        initial=lambda spec: {
            "cidr": spec["cidr"],
            "additionalCidrs": spec.get("additionalCidrs", []),
        }
    ),
)
