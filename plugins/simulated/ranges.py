"""Allocation of addresses: ranges as numbers, and the search for free ones. Pure."""

from collections.abc import Hashable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple, TypeVar

from secaplane.model.address import Network, automatic

RangeSpace = TypeVar("RangeSpace", bound=Hashable)


class HeldRange(NamedTuple):
    """The numbers from `first` to `last` of one space: reserved by a thing, or to be searched."""

    space: str
    first: int
    last: int


def space(where: str, version: int) -> str:
    return f"{where} IPv{version}"


def held_range(where: str, cidr: str | Network) -> HeldRange:
    network = ip_network(cidr, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    return HeldRange(space(where, network.version), first, last)


def held_address(where: str, text: str) -> HeldRange:
    address = ip_address(text)
    return HeldRange(space(where, address.version), int(address), int(address))


def address_text(number: int, version: int) -> str:
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))


def first_free(within: HeldRange, size: int, taken: Iterable[tuple[int, int]]) -> int | None:
    """The first number of a free block of `size`, aligned to its size; None if there is none.

    `taken` are the reserved ranges (first, last), ordered by their first number.
    """
    at = _aligned(within.first, size)
    for first, last in taken:
        if at + size <= first:
            break
        if at <= last:
            at = _aligned(last + 1, size)
    return at if at + size - 1 <= within.last else None


def _aligned(number: int, size: int) -> int:
    return -(-number // size) * size


class FullRanges:
    """The number up to which a search found no room, so that the next search starts there."""

    def __init__(self) -> None:
        self._up_to: dict[tuple[str, int, int], int] = {}

    def start(self, within: HeldRange, size: int) -> HeldRange:
        up_to = self._up_to.get((within.space, within.first, size), within.first)
        return within._replace(first=max(up_to, within.first))

    def learn(self, within: HeldRange, size: int, up_to: int) -> None:
        if within.last > within.first:
            self._up_to[within.space, within.first, size] = up_to

    def release(self, space: str, first: int) -> None:
        for key, up_to in self._up_to.items():
            if key[0] == space:
                self._up_to[key] = min(up_to, first - first % key[2])


def kept_choices(
    desired: Mapping[RangeSpace, str],
    former_spec: Mapping[RangeSpace, str],
    former_status: Mapping[RangeSpace, str],
) -> dict[RangeSpace, str]:
    """The addresses by place that need no new choice: those that the desired state gives, and those
    that the cloud chose earlier for an automatic one.

    An earlier choice stays at its place while the same size is desired there; if its place is gone,
    it serves another place with the same size.
    """
    known = {place: text for place, text in desired.items() if not automatic(text)}
    choices = {
        place: former_status[place]
        for place, text in former_spec.items()
        if automatic(text) and place in former_status
    }
    open_ = [place for place in desired if place not in known]
    for place in open_:
        if place in choices and _same_size(former_spec[place], desired[place]):
            known[place] = choices.pop(place)
    for place in open_:
        fits = (each for each in choices if _same_size(former_spec[each], desired[place]))
        if place not in known and (other := next(fits, None)) is not None:
            known[place] = choices.pop(other)
    return known


def _same_size(one: str, other: str) -> bool:
    """Compares two automatic CIDRs or addresses, which differ in size only."""
    return ip_network(one, strict=False) == ip_network(other, strict=False)
