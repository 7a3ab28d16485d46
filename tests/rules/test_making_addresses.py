"""Ranges and addresses that the simulated cloud chooses and keeps."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.address import kept_choices
from secaplane.model.shape import Json
from secaplane.plugins.simulated.ranges import FullRanges, HeldRange, first_free
from tests.rules.cloud_scene import ROUTED, SIZED, Scene, to

AUTO4, AUTO6 = {"ipv4": "0.0.0.0/16"}, {"ipv6": "::/56"}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


# --- the search for free numbers


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 9)), max_size=12),
    st.sampled_from([1, 2, 4, 8]),
)
def test_the_first_free_aligned_block_is_found(ranges: list[tuple[int, int]], size: int) -> None:
    taken = sorted((first, first + more) for first, more in ranges)
    numbers = {n for first, last in taken for n in range(first, last + 1)}
    fits = (n for n in range(8, 57, size) if n % size == 0 and n + size - 1 <= 56)
    first = next((n for n in fits if not numbers & set(range(n, n + size))), None)
    assert first_free(HeldRange("s", 8, 56), size, taken) == first


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.booleans()), max_size=30))
def test_the_memory_of_full_ranges_hides_no_free_number(steps: list[tuple[int, int, bool]]) -> None:
    taken: set[tuple[int, int]] = set()
    full, within = FullRanges(), HeldRange("s", 2, 40)
    for first, more, begins in steps:
        each = (first, first + more)
        if begins:
            taken.add(each)
        elif each in taken:
            taken.remove(each)
            full.release("s", first)
        for size in (1, 4):
            found = first_free(full.start(within, size), size, sorted(taken))
            assert found == first_free(within, size, sorted(taken))
            if found is not None:
                full.learn(within, size, found)


def test_a_choice_stays_at_its_place_or_serves_another_place_of_its_size() -> None:
    asked = {0: "0.0.0.0/16", 1: "0.0.0.0/16", 2: "10.9.0.0/16", 3: "::/56"}
    given = {0: "10.0.0.0/16", 1: "10.1.0.0/16", 2: "10.9.0.0/16", 3: "fd00::/56"}
    assert kept_choices(asked, asked, given) == given
    assert kept_choices({0: "10.7.0.0/16", 1: "0.0.0.0/16"}, asked, given) == {
        0: "10.7.0.0/16",
        1: "10.1.0.0/16",
    }
    assert kept_choices({3: "0.0.0.0/16", 0: "0.0.0.0/20"}, asked, given) == {3: "10.0.0.0/16"}


# --- networks


def test_explicit_ranges_of_a_network_are_reported_verbatim(scene: Scene) -> None:
    cidr = {"ipv4": "10.1.2.3/16", "ipv6": "FD00:0::/56"}
    assert scene.network(cidr, {"ipv4": "192.168.0.0/24"}) == {
        "cidr": cidr,
        "additionalCidrs": [{"ipv4": "192.168.0.0/24"}],
    }
    assert scene.network({}, uid="empty") == {"cidr": {}, "additionalCidrs": []}


def test_a_network_gets_a_private_range_that_is_free_in_its_workspace(scene: Scene) -> None:
    scene.network({"ipv4": "10.1.0.0/20"}, uid="other")
    assert scene.network(AUTO4 | AUTO6, AUTO4, AUTO6) == {
        "cidr": {"ipv4": "10.0.0.0/16", "ipv6": "fd00::/56"},
        "additionalCidrs": [{"ipv4": "10.2.0.0/16"}, {"ipv6": "fd00:0:0:100::/56"}],
    }
    assert scene.network(AUTO4, uid="next")["cidr"] == {"ipv4": "10.3.0.0/16"}
    assert scene.network(AUTO4, uid="far", workspace="v")["cidr"] == {"ipv4": "10.0.0.0/16"}


def test_a_network_keeps_its_range_until_another_size_is_desired(scene: Scene) -> None:
    scene.network(AUTO4, AUTO4)
    assert scene.network({"ipv4": "10.7.0.0/16"}, AUTO4)["additionalCidrs"] == [
        {"ipv4": "10.1.0.0/16"}
    ]
    assert scene.network(AUTO4)["cidr"] == {"ipv4": "10.7.0.0/16"}, "automatic is no change"
    assert scene.network({"ipv4": "0.0.0.0/12"})["cidr"] == {"ipv4": "10.0.0.0/12"}


def test_a_choice_gives_way_to_a_range_that_the_network_is_given(scene: Scene) -> None:
    assert scene.network(AUTO4)["cidr"] == {"ipv4": "10.0.0.0/16"}
    changed = scene.network(AUTO4, {"ipv4": "10.0.5.0/24"})
    assert changed["cidr"] == {"ipv4": "10.1.0.0/16"}


def test_a_range_in_another_spelling_is_no_change(scene: Scene) -> None:
    scene.network({"ipv6": "::/56"})
    assert scene.network({"ipv6": "0::0/56"})["cidr"] == {"ipv6": "fd00::/56"}
    assert scene.subnet({"ipv6": "::/64"}) == {"ipv6": "fd00::/64"}
    assert scene.subnet({"ipv6": "0:0:0:0:0:0:0:0/64"}) == {"ipv6": "fd00::/64"}


def test_a_full_private_block_is_followed_by_the_next(scene: Scene) -> None:
    found = [scene.network({"ipv4": "0.0.0.0/8"}, uid="all")["cidr"]["ipv4"]]
    found += (scene.network(AUTO4, uid=f"n{n}")["cidr"]["ipv4"] for n in range(17))
    assert [found[n] for n in (0, 1, 16, 17)] == [
        "10.0.0.0/8",
        "172.16.0.0/16",
        "172.31.0.0/16",
        "192.168.0.0/16",
    ]
    assert scene.refused("network", SIZED | {"cidr": AUTO4}, uid="late") == "CidrsUsedUp"
    scene.remove("n3")
    assert scene.network(AUTO4, uid="late")["cidr"]["ipv4"] == found[4]


@pytest.mark.parametrize("text", ["0.0.0.0/7", "0.0.0.0/29", "0.0.0.0/0"])
def test_the_size_of_an_automatic_range_is_limited(scene: Scene, text: str) -> None:
    assert scene.refused("network", SIZED | {"cidr": {"ipv4": text}}) == "CidrSize"
    assert scene.refused("network", SIZED | {"cidr": {"ipv6": "::/40"}}) == "CidrSize"


# --- subnets


def test_a_subnet_waits_for_its_network(scene: Scene) -> None:
    spec = ROUTED | {"cidr": {"ipv4": "0.0.0.0/24"}}
    assert scene.waits("subnet", spec, network="network")
    assert scene.cloud.state.things() == []
    scene.network({"ipv4": "10.0.0.0/16"})
    assert scene.made("subnet", spec, network="network") == {
        "cidr": {"ipv4": "10.0.0.0/24"},
        "routeTableRef": to("route-tables/r"),
    }


def test_a_subnet_without_a_range_has_none(scene: Scene) -> None:
    assert scene.made("subnet", ROUTED | {"cidr": {}})["cidr"] == {}


def test_a_subnet_gets_the_first_free_part_of_its_network(scene: Scene) -> None:
    scene.network({"ipv4": "10.0.0.0/22", "ipv6": "fd00:0:0:100::/56"}, {"ipv4": "10.9.0.0/24"})
    assert scene.subnet({"ipv4": "10.0.1.64/26"}, uid="explicit") == {"ipv4": "10.0.1.64/26"}
    auto = {"ipv4": "0.0.0.0/24", "ipv6": "::/64"}
    found = [scene.subnet(auto, uid=f"s{n}") for n in range(4)]
    assert [each["ipv4"] for each in found] == [
        "10.0.0.0/24",
        "10.0.2.0/24",
        "10.0.3.0/24",
        "10.9.0.0/24",
    ]
    assert found[1]["ipv6"] == "fd00:0:0:101::/64"
    assert scene.subnet({"ipv4": "0.0.0.0/26"}, uid="small") == {"ipv4": "10.0.1.0/26"}
    late = ROUTED | {"cidr": auto}
    assert scene.refused("subnet", late, uid="late", network="network") == "CidrsUsedUp"
    scene.remove("s1")
    assert scene.subnet(auto, uid="late") == found[1]
    assert scene.subnet(auto, uid="s2") == found[2]


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ({"ipv4": "10.1.0.0/24"}, "CidrOutside"),
        ({"ipv4": "10.0.0.0/15"}, "CidrOutside"),
        ({"ipv6": "fd00::/64"}, "CidrOutside"),
        ({"ipv6": "::/64"}, "NoRange"),
        ({"ipv4": "0.0.0.0/15"}, "CidrSize"),
        ({"ipv4": "0.0.0.0/31"}, "CidrSize"),
    ],
)
def test_a_subnet_outside_of_its_network_is_refused(scene: Scene, cidr: Json, reason: str) -> None:
    scene.network({"ipv4": "10.0.0.0/16"})
    assert scene.refused("subnet", ROUTED | {"cidr": cidr}, network="network") == reason


def test_a_subnet_keeps_its_range_when_its_network_changes(scene: Scene) -> None:
    scene.network({"ipv4": "10.0.0.0/16"})
    assert scene.subnet({"ipv4": "0.0.0.0/24"}) == {"ipv4": "10.0.0.0/24"}
    scene.network({"ipv4": "10.5.0.0/16"})
    assert scene.subnet({"ipv4": "0.0.0.0/24"}) == {"ipv4": "10.0.0.0/24"}
    assert scene.subnet({"ipv4": "0.0.0.0/25"}) == {"ipv4": "10.5.0.0/25"}


# --- NICs


@pytest.fixture
def placed(scene: Scene) -> Scene:
    """A cloud with a subnet for NICs."""
    scene.network({"ipv4": "10.0.0.0/16", "ipv6": "fd00::/56"})
    scene.subnet({"ipv4": "10.0.0.0/29", "ipv6": "fd00::/64"})
    return scene


def test_a_nic_gets_the_first_free_addresses_of_its_subnet(placed: Scene) -> None:
    assert placed.nic("10.0.0.3", "10.0.0.1", uid="explicit") == ["10.0.0.3", "10.0.0.1"]
    assert placed.nic("0.0.0.0", "::", "0.0.0.0") == ["10.0.0.2", "fd00::2", "10.0.0.4"]
    assert placed.nic("10.0.0.2", uid="same") == ["10.0.0.2"]
    assert placed.nic("0.0.0.0", "0.0.0.0", uid="last") == ["10.0.0.5", "10.0.0.6"]
    spec = {"subnetRef": to("subnet"), "addresses": ["0.0.0.0"]}
    bound = {"/subnetRef": "subnet"}
    assert placed.refused("nic", spec, uid="late", **bound) == "AddressesUsedUp"
    placed.remove("nic")
    assert placed.nic("0.0.0.0", uid="late") == ["10.0.0.4"]


def test_a_nic_without_addresses_gets_one_for_each_family_of_its_subnet(placed: Scene) -> None:
    spec, bound = {"subnetRef": to("subnet")}, {"/subnetRef": "subnet"}
    first = placed.made("nic", spec, **bound)
    assert first["addresses"] == ["10.0.0.2", "fd00::2"]
    assert placed.made("nic", spec, **bound) == first
    assert placed.nic("::", "0.0.0.0") == ["fd00::2", "10.0.0.2"]
    assert placed.made("nic", spec, **bound) == first
    placed.subnet({"ipv6": "fd00:0:0:1::/64"}, uid="only6")
    moved = placed.made("nic", spec, **{"/subnetRef": "only6"})
    assert moved["addresses"] == ["fd00:0:0:1::2"]
    assert placed.waits("nic", spec, uid="early", **{"/subnetRef": "absent"})


def test_a_nic_keeps_its_addresses_until_it_moves(placed: Scene) -> None:
    placed.nic("0.0.0.0", uid="first")
    assert placed.nic("0.0.0.0", "::") == ["10.0.0.3", "fd00::2"]
    placed.remove("first")
    assert placed.nic("0.0.0.0", "::") == ["10.0.0.3", "fd00::2"]
    assert placed.nic("10.0.0.6", "::", "0.0.0.0") == ["10.0.0.6", "fd00::2", "10.0.0.3"]
    placed.subnet({"ipv4": "10.0.1.0/24"}, uid="other")
    assert placed.nic("0.0.0.0", subnet="other") == ["10.0.1.2"]
    assert placed.nic("0.0.0.0", "0.0.0.0", uid="next") == ["10.0.0.2", "10.0.0.3"]


def test_a_nic_follows_its_changed_subnet_only_when_it_changes_itself(placed: Scene) -> None:
    placed.nic("0.0.0.0")
    placed.subnet({"ipv4": "10.0.4.0/24"})
    assert placed.nic("0.0.0.0") == ["10.0.0.2"]
    assert placed.nic("0.0.0.0", "0.0.0.0") == ["10.0.4.2", "10.0.4.3"]


def test_a_nic_needs_a_range_of_its_version_in_the_subnet(placed: Scene) -> None:
    placed.subnet({"ipv4": "10.0.1.0/24"}, uid="only4")
    spec = {"subnetRef": to("only4"), "addresses": ["::"]}
    assert placed.refused("nic", spec, **{"/subnetRef": "only4"}) == "NoRange"
    assert placed.waits("nic", spec, **{"/subnetRef": "absent"})


def test_a_nic_has_a_unique_mac_and_the_public_ips_that_exist(placed: Scene) -> None:
    refs = [to("public-ips/p"), to("public-ips/q")]
    spec = {"subnetRef": to("subnet"), "addresses": ["10.0.0.3"], "publicIpRefs": refs}
    bound = {"/publicIpRefs/0": "p", "/publicIpRefs/1": "q"}
    first = placed.made("nic", spec)
    assert first["publicIpRefs"] == []
    placed.made("public-ip", {"version": "IPv4"}, uid="q")
    later = placed.made("nic", spec, **bound)
    assert later == first | {"publicIpRefs": [refs[1]]}
    macs = {placed.made("nic", spec, uid=f"n{n}")["macAddress"] for n in range(50)}
    assert len(macs | {first["macAddress"]}) == 51
    assert all(int(mac[:2], 16) & 3 == 2 and len(mac) == 17 for mac in macs)


# --- public addresses


def test_a_public_ip_comes_from_the_pool_of_its_version(scene: Scene) -> None:
    four, six = {"version": "IPv4"}, {"version": "IPv6", "address": ""}
    assert scene.made("public-ip", four, uid="a") == {"ipAddress": "198.18.0.1"}
    assert scene.made("public-ip", four, uid="b") == {"ipAddress": "198.18.0.2"}
    assert scene.made("public-ip", six, uid="c") == {"ipAddress": "2001:db8::1"}
    scene.remove("a")
    assert scene.made("public-ip", four, uid="b") == {"ipAddress": "198.18.0.2"}
    assert scene.made("public-ip", six, uid="b") == {"ipAddress": "2001:db8::2"}
    assert scene.made("public-ip", four, uid="d") == {"ipAddress": "198.18.0.1"}


def test_an_address_that_the_user_owns_is_reported_verbatim(scene: Scene) -> None:
    own = {"version": "IPv4", "address": "198.18.0.1"}
    assert scene.made("public-ip", own) == {"ipAddress": "198.18.0.1"}
    assert scene.made("public-ip", {"version": "IPv4"}, uid="b") == {"ipAddress": "198.18.0.2"}
    assert scene.made("public-ip", own, uid="c") == {"ipAddress": "198.18.0.1"}
    assert scene.refused("public-ip", own | {"version": "IPv6"}) == "AddressFamily"


def test_no_two_of_two_hundred_ranges_or_addresses_overlap(scene: Scene) -> None:
    scene.network({"ipv4": "10.0.0.0/16"})
    ranges = [scene.subnet({"ipv4": f"0.0.0.0/{25 + n % 4}"}, uid=f"s{n}") for n in range(200)]
    parts = sorted(ip_network(each["ipv4"]) for each in ranges)
    assert not any(one.overlaps(other) for one, other in pairwise(parts))
    scene.subnet({"ipv4": "0.0.0.0/23"})
    hosts = [scene.nic("0.0.0.0", uid=f"n{n}")[0] for n in range(200)]
    assert len({ip_address(each) for each in hosts}) == 200
