"""Addresses and CIDRs as text, compared with Python's `ipaddress`."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.address import FORMATS, automatic, is_address_or_cidr, network, version

FOUR = st.ip_addresses(v=4)
SIX = st.ip_addresses(v=6)
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


@given(JUNK)
def test_junk_raises_nothing_and_accepted_text_is_what_python_accepts(text: str) -> None:
    family, cidr = version(text), network(text)
    assert family is None or str(ip_address(text)) != ""
    assert cidr is None or cidr == ip_network(text, strict=False)
    if family is None and "%" not in text:
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
    ],
)
def test_an_automatic_address_is_all_zeros(text: str, expected: bool) -> None:
    assert automatic(text) is expected
