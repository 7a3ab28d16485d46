"""Parsing of IP addresses and ranges, compared with Python's `ipaddress`."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.address import FORMATS, automatic, is_address_or_cidr, network, version

FOUR = st.ip_addresses(v=4)
SIX = st.ip_addresses(v=6)
SIGNS = st.text("0123456789abcdefABCDEF:./ %xg-\n", max_size=20)
JUNK = SIGNS | st.text(max_size=12) | st.from_regex(r"[0-9a-f.:]{1,9}/[0-9]{1,4}", fullmatch=True)


def spelled(address: IPv4Address | IPv6Address) -> list[str]:
    """Every common spelling of an address."""
    text = str(address)
    return [text, text.upper(), address.exploded]


@given(FOUR | SIX)
def test_every_spelling_of_an_address_has_its_version(
    address: IPv4Address | IPv6Address,
) -> None:
    for text in spelled(address):
        assert version(text) == address.version
        assert FORMATS["ip"](text)
        assert FORMATS["ip-or-empty"](text)
        assert FORMATS["ip-or-cidr"](text)
        assert not FORMATS["cidr"](text), "a range needs the length of its prefix"


@given(FOUR | SIX, st.integers(0, 200))
def test_a_range_is_an_address_with_a_valid_prefix_length(
    address: IPv4Address | IPv6Address, length: int
) -> None:
    """Host bits may be set."""
    for text in spelled(address):
        cidr = f"{text}/{length}"
        fits = length <= address.max_prefixlen
        assert network(cidr) == (ip_network(cidr, strict=False) if fits else None)
        assert FORMATS["cidr"](cidr) is is_address_or_cidr(cidr) is fits
        assert FORMATS["ipv4-cidr"](cidr) is (fits and address.version == 4)
        assert FORMATS["ipv6-cidr"](cidr) is (fits and address.version == 6)
        assert not FORMATS["ip"](cidr)


@given(JUNK)
def test_arbitrary_text_is_accepted_only_if_python_accepts_it(text: str) -> None:
    parsed_version, parsed_network = version(text), network(text)
    assert parsed_version is None or str(ip_address(text)) != ""
    assert parsed_network is None or parsed_network == ip_network(text, strict=False)
    if parsed_version is None and "%" not in text:
        with pytest.raises(ValueError, match="does not appear to be"):
            ip_address(text)
    for check in FORMATS.values():
        assert check(text) in (True, False)


@pytest.mark.parametrize("text", ["10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "fe80::%1/64"])
def test_a_netmask_and_a_zone_are_refused_though_python_accepts_them(text: str) -> None:
    ip_network(text, strict=False)
    assert network(text) is None


@pytest.mark.parametrize(
    ("text", "chosen"),
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
def test_an_address_of_zeros_is_chosen_by_the_cloud(text: str, chosen: bool) -> None:
    assert automatic(text) is chosen
