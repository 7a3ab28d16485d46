"""IP addresses and CIDRs as text, and the formats that schemas name. Pure.

The rules are those of SECA's schemas (CEL `isIP`, `isCIDR`): a prefix length in digits, no zone, no
netmask; host bits may be set.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from msgspec import Meta

Network = IPv4Network | IPv6Network
IpVersion = Literal["IPv4", "IPv6"]
_SHAPE = re.compile(r"[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})")


def network(text: str) -> Network | None:
    """The network that a CIDR names, without host bits; None if the text is no CIDR."""
    if not _SHAPE.fullmatch(text):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def version(text: str) -> int | None:
    """4 or 6; None if the text is no address."""
    if "%" in text:
        return None
    try:
        return ip_address(text).version
    except ValueError:
        return None


def automatic(text: str) -> bool:
    """True for a CIDR or an address that leaves the choice to the cloud: `0.0.0.0/16`."""
    return text.partition("/")[0] in ("0.0.0.0", "::")


def is_address_or_cidr(text: str) -> bool:
    return version(text) is not None or network(text) is not None


def _is_cidr_of(family: int) -> Callable[[str], bool]:
    return lambda text: (cidr := network(text)) is not None and cidr.version == family


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "ipv4-cidr": _is_cidr_of(4),
    "ipv6-cidr": _is_cidr_of(6),
    "cidr": lambda text: network(text) is not None,
    "ip": lambda text: version(text) is not None,
    "ip-or-empty": lambda text: not text or version(text) is not None,
    "ip-or-cidr": is_address_or_cidr,
}
"""The check of each `format` in a schema."""


def _format(name: str) -> dict[str, str]:
    assert name in FORMATS
    return {"format": name}


Cidr4 = Annotated[str, Meta(min_length=9, max_length=18, extra_json_schema=_format("ipv4-cidr"))]
Cidr6 = Annotated[str, Meta(min_length=4, max_length=43, extra_json_schema=_format("ipv6-cidr"))]
CidrBlock = Annotated[str, Meta(min_length=1, max_length=43, extra_json_schema=_format("cidr"))]
AnyCidr = Annotated[str, Meta(extra_json_schema=_format("cidr"))]
Address = Annotated[str, Meta(min_length=1, max_length=39, extra_json_schema=_format("ip"))]
MaybeAddress = Annotated[str, Meta(max_length=39, extra_json_schema=_format("ip-or-empty"))]
AddressOrCidr = Annotated[str, Meta(max_length=45, extra_json_schema=_format("ip-or-cidr"))]
