"""Allocation of addresses: ranges as numbers, and the search for free ones. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from secaplane.model.address import valid_address, valid_network


class HeldRange(NamedTuple):
    """The numbers from `first` to `last` of one space: reserved by a thing, or to be searched."""

    space: str
    first: int
    last: int


def space(where: str, version: int) -> str:
    return f"{where} IPv{version}"


def held_range(where: str, cidr: str) -> HeldRange:
    network = valid_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    return HeldRange(space(where, network.version), first, last)


def held_address(where: str, text: str) -> HeldRange:
    address = valid_address(text)
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
