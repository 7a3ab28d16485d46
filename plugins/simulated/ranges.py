"""Addresses and ranges of them as numbers, and which of the numbers are free. Pure."""

from collections.abc import Hashable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple, TypeVar

from secaplane.model.address import Network, automatic

RangeSpace = TypeVar("RangeSpace", bound=Hashable)


class HeldRange(NamedTuple):
    """Numbers of one space, from `first` to `last`: somebody's own, or there to be had."""

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
    """The first of `size` numbers in a row, at a multiple of `size`, of which nobody has one.

    `taken` are (first, last) of what somebody has, by their first.
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
    """Up to where there was no room, so that a search need not begin at the beginning each time."""

    def __init__(self) -> None:
        self._up_to: dict[tuple[str, int, int], int] = {}

    def start(self, within: HeldRange, size: int) -> HeldRange:
        up_to = self._up_to.get((within.space, within.first, size), within.first)
        return within._replace(first=max(up_to, within.first))

    def learn(self, within: HeldRange, size: int, up_to: int) -> None:
        if within.last > within.first:
            self._up_to[within.space, within.first, size] = up_to

    def let_go(self, space: str, first: int) -> None:
        for key, up_to in self._up_to.items():
            if key[0] == space:
                self._up_to[key] = min(up_to, first - first % key[2])


def remembered(
    wanted: Mapping[RangeSpace, str],
    asked: Mapping[RangeSpace, str],
    given: Mapping[RangeSpace, str],
) -> dict[RangeSpace, str]:
    """What is known of each place before anything is chosen: what the wish says itself, and what
    was chosen before. Left out is what has to be chosen now.

    `asked` and `given`: the wish before this one, and what came of it. A choice stays at its place
    while as much is asked for there; one whose place is gone serves another that asks the same.
    """
    known = {place: text for place, text in wanted.items() if not automatic(text)}
    choices = {
        place: given[place] for place, text in asked.items() if automatic(text) and place in given
    }
    open_ = [place for place in wanted if place not in known]
    for place in open_:
        if place in choices and _same_size(asked[place], wanted[place]):
            known[place] = choices.pop(place)
    for place in open_:
        fits = (each for each in choices if _same_size(asked[each], wanted[place]))
        if place not in known and (other := next(fits, None)) is not None:
            known[place] = choices.pop(other)
    return known


def _same_size(one: str, other: str) -> bool:
    """Of two texts that leave the choice open, so that all that they say is a size."""
    return ip_network(one, strict=False) == ip_network(other, strict=False)
