"""Addresses and CIDRs as text, compared with Python's `ipaddress`."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.address import (
    FORMATS,
    address,
    automatic,
    contains,
    is_address_or_cidr,
    looks_like_address,
    network,
    same_value,
    unusable,
    valid_address,
    valid_network,
    version,
)

FOUR = st.ip_addresses(v=4)
SIX = st.integers(0, 2**128 - 1).map(IPv6Address).filter(lambda each: each.ipv4_mapped is None)
SIGNS = st.text("0123456789abcdefABCDEF:./ %xg-\n", max_size=20)
JUNK = SIGNS | st.text(max_size=12) | st.from_regex(r"[0-9a-f.:]{1,9}/[0-9]{1,4}", fullmatch=True)


def notations(address: IPv4Address | IPv6Address) -> list[str]:
    """Common notations of one address."""
    text = str(address)
    return [text, text.upper(), address.exploded]


@given(FOUR | SIX)
def test_an_address_has_its_version_in_every_notation(
    address: IPv4Address | IPv6Address,
) -> None:
    for text in notations(address):
        assert version(text) == address.version
        assert FORMATS["ip"](text)
        assert FORMATS["ip-or-empty"](text)
        assert FORMATS["ip-or-cidr"](text)
        assert not FORMATS["cidr"](text), "a CIDR needs a prefix length"


@given(FOUR | SIX, st.integers(0, 200))
def test_a_cidr_is_an_address_and_a_prefix_length_within_its_size(
    address: IPv4Address | IPv6Address, length: int
) -> None:
    """Host bits may be set."""
    for text in notations(address):
        cidr = f"{text}/{length}"
        fits = length <= address.max_prefixlen
        assert network(cidr) == (ip_network(cidr, strict=False) if fits else None)
        assert FORMATS["cidr"](cidr) is is_address_or_cidr(cidr) is fits
        assert FORMATS["ipv4-cidr"](cidr) is (fits and address.version == 4)
        assert FORMATS["ipv6-cidr"](cidr) is (fits and address.version == 6)
        assert not FORMATS["ip"](cidr)


def mapped(text: str) -> bool:
    try:
        read = ip_address(text)
    except ValueError:
        return False
    return isinstance(read, IPv6Address) and read.ipv4_mapped is not None


@given(JUNK)
def test_junk_raises_nothing_and_accepted_text_is_what_python_accepts(text: str) -> None:
    family, cidr = version(text), network(text)
    assert family is None or str(ip_address(text)) != ""
    assert cidr is None or cidr == ip_network(text, strict=False)
    if family is None and "%" not in text and not mapped(text):
        with pytest.raises(ValueError, match="does not appear to be"):
            ip_address(text)
    for accepts in FORMATS.values():
        assert accepts(text) in (True, False)


@pytest.mark.parametrize("text", ["10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "fe80::%1/64"])
def test_netmasks_and_zones_are_refused_though_python_accepts_them(text: str) -> None:
    ip_network(text, strict=False)
    assert network(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("0.0.0.0/16", True),
        ("::/56", True),
        ("10.0.0.0/16", False),
        ("0.0.0.1", False),
        ("::1/56", False),
        ("", False),
        ("0::0", True),
        ("0:0:0:0:0:0:0:0/56", True),
        ("0000::/64", True),
        ("::0.0.0.0/64", True),
        ("0.0.0.1/16", False),
        ("::ffff:0.0.0.0", False),
    ],
)
def test_an_automatic_address_is_all_zeros(text: str, expected: bool) -> None:
    assert automatic(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "::ffff:10.0.0.1",
        "::FFFF:a00:1",
        "0:0:0:0:0:ffff:0:0",
        "::ffff:255.255.255.255",
        "::ffff:0:0",
    ],
)
def test_an_ipv4_address_mapped_to_ipv6_is_no_address(text: str) -> None:
    """A filter that compares families would let it pass (RFC 4291, 2.5.5.2)."""
    assert address(text) is None
    for prefix in (0, 96, 104, 128):
        assert network(f"{text}/{prefix}") is None
    assert not any(accepts(text) or accepts(f"{text}/104") for accepts in FORMATS.values())


@pytest.mark.parametrize("text", ["010.1.1.1", "10.01.1.1", "fe80::1%eth0", "10.0.0.1%1"])
def test_leading_zeros_and_zones_are_no_addresses(text: str) -> None:
    assert address(text) is None
    assert network(f"{text}/24") is None
    assert looks_like_address(text), "so it is not taken for the name of a resource"


@pytest.mark.parametrize("text", ["one", "instances/one", "10.0", "1.2.3.4.5", "skus/10.0.0.1", ""])
def test_paths_of_resources_do_not_look_like_addresses(text: str) -> None:
    assert not looks_like_address(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("FD00:0001:0::/56", "fd00:1::/56", True),
        ("10.0.7.7/16", "10.0.0.0/16", True),
        ("10.0.0.0/16", "10.0.0.0/17", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("2001:DB8::1", "2001:db8:0:0::1", True),
        ("10.0.0.1", "10.0.0.1/32", True),
        ("x", "y", False),
    ],
)
def test_addresses_and_ranges_are_compared_by_value(one: str, other: str, same: bool) -> None:
    assert same_value(one, other) is same_value(other, one) is same


@pytest.mark.parametrize(
    ("text", "within", "reason"),
    [
        ("10.0.1.0", "10.0.1.0/24", "is the network address of 10.0.1.0/24"),
        ("10.0.1.255", "10.0.1.0/24", "is the broadcast address of 10.0.1.0/24"),
        ("10.0.1.1", "10.0.1.0/24", ""),
        ("10.0.1.0", "10.0.1.0/30", "is the network address of 10.0.1.0/30"),
        ("10.0.1.3", "10.0.1.0/30", "is the broadcast address of 10.0.1.0/30"),
        ("10.0.1.0", "10.0.1.0/31", ""),
        ("10.0.1.0", "10.0.1.0/32", ""),
        ("fd00::", "fd00::/64", "is the network address of fd00::/64"),
        ("fd00::ffff:ffff:ffff:ffff", "fd00::/64", ""),
        ("fd00::", "fd00::/126", "is the network address of fd00::/126"),
        ("fd00::", "fd00::/127", ""),
        ("224.0.0.1", "224.0.0.0/8", "is a multicast address"),
        ("ff02::1", "ff02::/16", "is a multicast address"),
        ("127.0.0.9", "127.0.0.0/8", "is a loopback address"),
        ("::1", "::/64", "is a loopback address"),
    ],
)
def test_reserved_addresses_are_unusable_for_an_interface(
    text: str, within: str, reason: str
) -> None:
    assert unusable(valid_address(text), [valid_network(within)]) == reason


@given(FOUR, st.integers(0, 32), st.integers(0, 32))
def test_a_range_contains_itself_and_its_parts(at: IPv4Address, one: int, other: int) -> None:
    wide, narrow = (valid_network(f"{at}/{prefix}") for prefix in sorted((one, other)))
    assert contains(wide, narrow)
    assert contains(narrow, wide) is (wide == narrow)
