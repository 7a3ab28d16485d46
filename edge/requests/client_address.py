"""Where a request came from: the peer, or what a proxy that we trust says of it. Pure.

`X-Forwarded-For` is a list to which each proxy adds the address that it saw, on the right. So it is
read from the right, and no further than the first address that is not a trusted proxy's: what
stands before that anybody may have written.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

HOPS_MAX = 16
Address = IPv4Address | IPv6Address


class TrustedProxies:
    """Those whose word on where a request came from is believed: none, unless configured."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Addresses, or networks (`10.0.0.0/8`).

        Raises:
            ValueError: one is neither.
        """
        self._trusted = [ip_network(each) for each in trusted]

    def source(self, peer: str, forwarded: Sequence[str]) -> str:
        """`forwarded`: every header of that name, in order. A peer may have no address."""
        address = _address(peer)
        if address is None:
            return ""
        if self._trusts(address):
            for each in reversed(",".join(forwarded).split(",")[-HOPS_MAX:]):
                before = _address(each.strip())
                if before is None:
                    break
                address = before
                if not self._trusts(address):
                    break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
