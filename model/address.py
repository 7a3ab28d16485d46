"""IP addresses and CIDRs: the one place that reads them from text, and the formats that schemas
name. Pure.

Addresses are values. The rules are those of SECA's schemas (CEL `isIP`, `isCIDR`): no zone, no
leading zeros, no IPv4-mapped IPv6 (`::ffff:10.0.0.1`), a prefix length in digits, no netmask. Host
bits may be set and are ignored; what was sent is answered as it was sent.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from secaplane.model.instant import is_instant

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
IpVersion = Literal["IPv4", "IPv6"]
FAMILIES: Mapping[str, int] = {"ipv4": 4, "ipv6": 6}
"""The fields of a CIDR object, with their IP version."""
UNSPECIFIED: Mapping[int, str] = {4: "0.0.0.0", 6: "::"}
PRIVATE: tuple[Network, ...] = (
    *(IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    IPv6Network("fc00::/7"),
)
"""RFC 1918 and RFC 4193."""
PREFIX_WITH_HOSTS: Mapping[int, int] = {4: 30, 6: 126}
"""The longest prefix whose first address is reserved, and of IPv4 its last one, too."""
_PREFIX = re.compile(r"(0|[1-9][0-9]{0,2})")
_LOOKS_LIKE_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}(/.*)?|[^/]*[:%].*", re.DOTALL)

Place = TypeVar("Place", bound=Hashable)


def address(text: str) -> Address | None:
    """The address that a text names; None if it names none."""
    if "%" in text:
        return None
    try:
        read = ip_address(text)
    except ValueError:
        return None
    return None if isinstance(read, IPv6Address) and read.ipv4_mapped else read


def network(text: str) -> Network | None:
    """The network that a CIDR names, without host bits; None if the text is no CIDR."""
    written, _, prefix = text.partition("/")
    if not _PREFIX.fullmatch(prefix) or address(written) is None:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def version(text: str) -> int | None:
    """4 or 6; None if the text is no address."""
    read = address(text)
    return None if read is None else read.version


def range_of(text: str) -> Network | None:
    """The network that a CIDR names, or the network of a single address."""
    single = address(text)
    return network(text) if single is None else ip_network(single)


def automatic(text: str) -> bool:
    """True for a CIDR or an address that leaves the choice to the cloud, in every spelling of the
    unspecified address: `0.0.0.0/16`, `0::0`. Only where the schema offers an assignment."""
    read = address(text.partition("/")[0])
    return read is not None and read.is_unspecified


def valid_network(text: str) -> Network:
    """The network of a CIDR that has been validated."""
    read = network(text)
    assert read is not None, f"{text} is no CIDR"
    return read


def valid_address(text: str) -> Address:
    """The address of a text that has been validated."""
    read = address(text)
    assert read is not None, f"{text} is no address"
    return read


def is_address_or_cidr(text: str) -> bool:
    return range_of(text) is not None


def looks_like_address(text: str) -> bool:
    """True for a text that is an address or a CIDR, or was meant to be one: no path of a resource
    looks like that."""
    return _LOOKS_LIKE_ADDRESS.fullmatch(text) is not None


def same_value(one: str, other: str) -> bool:
    """True if two texts name the same address, or the same range."""
    return one == other or (range_of(one) is not None and range_of(one) == range_of(other))


def contains(within: Network, part: Network) -> bool:
    """True if all addresses of `part` are in `within`."""
    return part.network_address in within and part.prefixlen >= within.prefixlen


def unusable(host: Address, within: Iterable[Network] = ()) -> str:
    """The reason why no interface can have an address, in one of these ranges: empty if one can.

    The first and the last address of an IPv4 range are its network and broadcast address, the first
    of an IPv6 range is the routers' anycast address (RFC 4291, 2.6.1); shorter ranges reserve none.
    """
    if host.is_multicast:
        return "is a multicast address"
    if host.is_loopback:
        return "is a loopback address"
    for each in within:
        if host not in each or each.prefixlen > PREFIX_WITH_HOSTS[each.version]:
            continue
        if host == each.network_address:
            return f"is the network address of {each}"
        if each.version == 4 and host == each.broadcast_address:
            return f"is the broadcast address of {each}"
    return ""


def kept_choices(
    desired: Mapping[Place, str],
    former_spec: Mapping[Place, str],
    former_status: Mapping[Place, str],
) -> dict[Place, str]:
    """The addresses or CIDRs by place that need no new choice: those that the desired state gives,
    and for automatic ones those that were given or chosen earlier.

    An earlier one stays at its place while the same size is desired there; a choice whose place is
    gone serves another place with the same size.
    """
    known = {place: text for place, text in desired.items() if not automatic(text)}
    taken = {range_of(text) for text in known.values()}
    free = {place: text for place, text in former_status.items() if range_of(text) not in taken}
    open_ = [place for place in desired if place not in known]
    for place in open_:
        if place in free and same_size(free[place], desired[place]):
            known[place] = free.pop(place)
    chosen = {place: text for place, text in free.items() if automatic(former_spec.get(place, ""))}
    for place in open_:
        fits = (each for each in chosen if same_size(chosen[each], desired[place]))
        if place not in known and (other := next(fits, None)) is not None:
            known[place] = chosen.pop(other)
    return known


def same_size(one: str, other: str) -> bool:
    """True if two texts name ranges of one IP version with the same prefix length."""
    first, second = range_of(one), range_of(other)
    if first is None or second is None:
        return False
    return (first.version, first.prefixlen) == (second.version, second.prefixlen)


def _is_cidr_of(family: int) -> Callable[[str], bool]:
    return lambda text: (cidr := network(text)) is not None and cidr.version == family


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "ipv4-cidr": _is_cidr_of(4),
    "ipv6-cidr": _is_cidr_of(6),
    "cidr": lambda text: network(text) is not None,
    "ip": lambda text: version(text) is not None,
    "ip-or-empty": lambda text: not text or version(text) is not None,
    "ip-or-cidr": is_address_or_cidr,
    "date-time": is_instant,
}
"""The check of each `format` in a schema."""


def _format(name: str) -> dict[str, str]:
    assert name in FORMATS
    return {"format": name}


Cidr4 = Annotated[str, Meta(min_length=9, max_length=18, extra_json_schema=_format("ipv4-cidr"))]
Cidr6 = Annotated[str, Meta(min_length=4, max_length=43, extra_json_schema=_format("ipv6-cidr"))]
CidrBlock = Annotated[str, Meta(min_length=1, max_length=43, extra_json_schema=_format("cidr"))]
AnyCidr = Annotated[str, Meta(extra_json_schema=_format("cidr"))]
IpAddress = Annotated[str, Meta(min_length=1, max_length=39, extra_json_schema=_format("ip"))]
MaybeAddress = Annotated[str, Meta(max_length=39, extra_json_schema=_format("ip-or-empty"))]
AddressOrCidr = Annotated[str, Meta(max_length=45, extra_json_schema=_format("ip-or-cidr"))]
