"""The address of the client: the peer of the connection, or the one that a trusted proxy names.
Pure.

`X-Forwarded-For` is a list to which each proxy appends the address that it received the request
from. It is read from the right, up to the first address that is not a trusted proxy's: everything
to the left of that could have been written by the client.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

HOPS_MAX = 16
Address = IPv4Address | IPv6Address


class TrustedProxies:
    """The proxies whose `X-Forwarded-For` counts: none, unless configured."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Addresses, or networks (`10.0.0.0/8`).

        Raises:
            ValueError: one of them is neither.
        """
        self._trusted = [ip_network(each) for each in trusted]

    def client_address(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address as text; empty where the peer has none (a UNIX socket). `forwarded`:
        every `X-Forwarded-For` header, in order."""
        address = _address(peer)
        if address is None:
            return ""
        if self._trusts(address):
            for each in reversed(",".join(forwarded).rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
                previous = _address(each.strip())
                if previous is None:
                    break
                address = previous
                if not self._trusts(address):
                    break
        return str(address)

    def trusts(self, peer: str) -> bool:
        """True for the address of a trusted proxy."""
        address = _address(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """An address; IPv4 in IPv6 notation is the IPv4 address, and anything else is None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
