"""The client's address, through trusted proxies."""

import pytest

from secaplane.edge.requests.client_address import HOPS_MAX, TrustedProxies

PROXY, CLIENT, FORGED = "10.0.0.1", "203.0.113.9", "198.51.100.7"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client_address"),
    [
        ([], CLIENT, [], CLIENT),
        ([], CLIENT, [FORGED], CLIENT),
        ([PROXY], CLIENT, [FORGED], CLIENT),
        ([PROXY], PROXY, [], PROXY),
        ([PROXY], PROXY, [CLIENT], CLIENT),
        ([PROXY], PROXY, [f"{FORGED}, {CLIENT}"], CLIENT),
        ([PROXY], PROXY, [FORGED, CLIENT], CLIENT),
        (["10.0.0.0/8"], PROXY, [f"{FORGED}, {CLIENT} ,10.9.9.9"], CLIENT),
        (["10.0.0.0/8"], PROXY, ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ([PROXY], PROXY, ["who knows"], PROXY),
        ([PROXY], PROXY, [f"{FORGED}, unknown"], PROXY),
        (["10.0.0.0/8"], PROXY, [f"{FORGED}, unknown, 10.2.2.2"], "10.2.2.2"),
        ([PROXY], PROXY, [""], PROXY),
        ([PROXY], f"::ffff:{PROXY}", [CLIENT], CLIENT),
        (["2001:db8::/32"], "2001:db8::1", ["2001:DB9::0:1"], "2001:db9::1"),
        ([PROXY], "", [CLIENT], ""),
        ([PROXY], "a socket", [CLIENT], ""),
        (["0.0.0.0/0"], PROXY, [", ".join([FORGED] * 999 + [PROXY] * HOPS_MAX)], PROXY),
    ],
)
def test_only_trusted_proxies_name_the_client(
    trusted: list[str], peer: str, forwarded: list[str], client_address: str
) -> None:
    assert TrustedProxies(trusted).client_address(peer, forwarded) == client_address


@pytest.mark.parametrize("proxy", ["", "localhost", "10.0.0.1/8", "10.0.0.300"])
def test_a_proxy_is_an_address_or_a_network(proxy: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        TrustedProxies([proxy])
