"""Addresses and ranges as text, against Python's own reading of them."""

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
    """Every common spelling."""
    text = str(address)
    return [text, text.upper(), address.exploded]


@given(FOUR | SIX)
def test_an_address_has_its_version_however_it_is_spelled(
    address: IPv4Address | IPv6Address,
) -> None:
    for text in spelled(address):
        assert version(text) == address.version
        assert FORMATS["ip"](text)
        assert FORMATS["ip-or-empty"](text)
        assert FORMATS["ip-or-cidr"](text)
        assert not FORMATS["cidr"](text), "the length of the prefix is said"


@given(FOUR | SIX, st.integers(0, 200))
def test_a_range_is_an_address_and_a_length_that_fits_it(
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
def test_no_junk_breaks_it_and_what_passes_is_what_python_reads(text: str) -> None:
    said, found = version(text), network(text)
    assert said is None or str(ip_address(text)) != ""
    assert found is None or found == ip_network(text, strict=False)
    if said is None and "%" not in text:
        with pytest.raises(ValueError, match="does not appear to be"):
            ip_address(text)
    for keeps in FORMATS.values():
        assert keeps(text) in (True, False)


@pytest.mark.parametrize("text", ["10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "fe80::%1/64"])
def test_a_netmask_and_a_zone_are_for_python_alone(text: str) -> None:
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
def test_an_address_that_is_left_to_the_cloud_is_all_zeros(text: str, chosen: bool) -> None:
    assert automatic(text) is chosen
