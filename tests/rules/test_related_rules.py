"""Rules between resources, from both sides: the value of a PUT (422), and a use by others (409);
before the append, and again after it."""

from typing import Any

import pytest

from secaplane.command.rules.commands import Put
from secaplane.command.rules.context import SiteRules
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid, Refusal
from secaplane.model.events import (
    AnyEvent,
    Created,
    Updated,
)
from secaplane.model.shape import Json, Resource, State
from tests.rules.command_scene import DISK, SKU, SPARE, VOLUME
from tests.scenario import IDS, found, from_catalogue, given, lived

NETWORK, NIC, NAT = (KINDS[k].ref(IDS, "one") for k in ("network", "nic", "nat-gateway-instance"))
NET = KINDS["network"].ref(IDS, "net")
SUBNET = KINDS["subnet"].ref(IDS, "s")
TABLE = KINDS["routing-table"].ref(IDS, "t")
N = from_catalogue("network-sku", "s")
TO_SUBNET = {"resource": "networks/net/subnets/s"}
ROUTED: Json = {"zone": "a", "routeTableRef": {"resource": "route-tables/t"}}


def pointers(refusal: Refusal) -> list[str]:
    return [source.pointer.removeprefix("/spec") for source in refusal.sources]


def sized(cidr: Json, *more: Json) -> Json:
    return SKU | {"cidr": cidr} | ({"additionalCidrs": [*more]} if more else {})


def four(text: str) -> Json:
    return {"ipv4": text}


# --- the ranges of a network


@pytest.mark.parametrize(
    ("cidr", "more", "broken"),
    [
        (four("10.0.0.0/16"), [four("10.1.0.0/16"), {"ipv6": "fd00:1::/56"}], []),
        (four("10.0.0.0/16"), [four("0.0.0.0/16")], []),
        (four("0.0.0.0/16"), [four("0.0.0.0/16"), {"ipv6": "0::0/56"}], []),
        (four("10.0.0.0/16"), [four("10.0.5.0/24")], ["/additionalCidrs/0/ipv4"]),
        (four("10.0.5.0/24"), [four("10.0.0.0/16")], ["/additionalCidrs/0/ipv4"]),
        (four("10.0.0.0/16"), [four("10.3.0.0/16")] * 2, ["/additionalCidrs/1/ipv4"]),
        (four("10.0.0.0/16"), [four("10.0.7.7/16")], ["/additionalCidrs/0/ipv4"]),
        (
            {"ipv6": "fd00:1::/56"},
            [{"ipv6": "FD00:0001:0::/56"}],
            ["/additionalCidrs/0/ipv6"],
        ),
        (four("11.0.0.0/16"), [], ["/cidr/ipv4"]),
        (four("10.0.0.0/7"), [], ["/cidr/ipv4"]),
        (
            four("192.0.2.0/24"),
            [{"ipv6": "2001:db8::/56"}],
            ["/additionalCidrs/0/ipv6", "/cidr/ipv4"],
        ),
        ({"ipv6": "fc00::/7"}, [], []),
    ],
)
def test_the_ranges_of_a_network_are_private_and_apart(
    cidr: Json, more: list[Json], broken: list[str]
) -> None:
    spec = sized(cidr, *more)
    scene = given("network").with_targets(N).when(Put(spec=spec))
    if broken:
        assert sorted(pointers(scene.then_refused(Invalid))) == broken
    else:
        scene.then(Created(spec=spec))


def test_a_site_may_allow_ranges_that_are_not_private() -> None:
    spec = sized(four("192.0.2.0/24"), four("192.0.2.0/25"))
    scene = given("network").with_targets(N).at(SiteRules(any_ranges=True))
    refusal = scene.when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(refusal) == ["/additionalCidrs/0/ipv4"], "they are still apart"


def a_network(spec: Json, **status: Any) -> given:
    reports = [found(State.ACTIVE, observed_position=1, **status)] if status else []
    return given("network", Created(spec=spec), *reports).with_targets(N)


AUTOMATIC = a_network(sized(four("0.0.0.0/16")), cidr=four("10.4.0.0/16"))


@pytest.mark.parametrize("text", ["0.0.0.0/16", "10.4.0.0/16", "10.4.9.9/16"])
def test_automatic_and_the_range_that_was_chosen_are_no_change(text: str) -> None:
    spec = sized(four(text))
    AUTOMATIC.when(Put(spec=spec)).then(Updated(spec=spec))
    fixed = a_network(sized(four("10.4.0.0/16")), cidr=four("10.4.0.0/16"))
    fixed.when(Put(spec=spec)).then(Updated(spec=spec))


@pytest.mark.parametrize(
    ("cidr", "broken"),
    [
        (four("10.77.0.0/16"), ["/cidr/ipv4"]),
        (four("0.0.0.0/20"), ["/cidr/ipv4"]),
        (four("10.4.0.0/17"), ["/cidr/ipv4"]),
        (four("0.0.0.0/16") | {"ipv6": "::/56"}, ["/cidr/ipv6"]),
        ({}, ["/cidr/ipv4"]),
    ],
)
def test_the_main_range_of_a_network_cannot_change(cidr: Json, broken: list[str]) -> None:
    assert pointers(AUTOMATIC.when(Put(spec=sized(cidr))).then_refused(Invalid)) == broken
    never_active = a_network(sized(four("0.0.0.0/16")))
    never_active.when(Put(spec=sized(cidr))).then(Updated(spec=sized(cidr)))


def test_a_range_beside_one_that_the_cloud_has_chosen_is_apart_from_it() -> None:
    spec = sized(four("0.0.0.0/16"), four("10.4.8.0/24"))
    assert pointers(AUTOMATIC.when(Put(spec=spec)).then_refused(Invalid)) == [
        "/additionalCidrs/0/ipv4"
    ]


def test_labels_of_a_network_change_whatever_its_ranges_are() -> None:
    spec = sized(four("11.0.0.0/16"), four("11.0.0.0/24"))
    scene = a_network(spec, cidr=spec["cidr"]).when(Put(spec=spec, labels={"a": "b"}))
    scene.then(Updated(spec=spec, labels={"a": "b"}))


# --- the addresses of a NIC, and of a route


def a_subnet(cidr: Json, chosen: Json | None = None) -> Resource:
    reports = [] if chosen is None else [found(State.ACTIVE, observed_position=1, cidr=chosen)]
    return lived(SUBNET, ROUTED | {"cidr": cidr}, *reports)


DUAL = a_subnet(four("10.0.1.0/24") | {"ipv6": "fd00::/64"})
ONLY4 = a_subnet(four("10.0.1.0/24"), four("10.0.1.0/24"))
UNKNOWN, KNOWN = a_subnet(four("0.0.0.0/24")), a_subnet(four("0.0.0.0/24"), four("10.0.1.0/24"))


@pytest.mark.parametrize(
    ("subnet", "addresses", "broken"),
    [
        (DUAL, ["10.0.1.7", "10.0.1.1", "0.0.0.0", "::", "fd00::1", "FD00:0::2"], []),
        (DUAL, ["10.0.2.7", "10.0.1.7", "fd01::1"], [0, 2]),
        (ONLY4, ["fd00::5", "10.0.1.8"], [0]),
        (ONLY4, ["10.0.1.0", "10.0.1.255", "127.0.0.1", "224.0.0.1"], [0, 1, 2, 3]),
        (DUAL, ["fd00::", "ff02::1", "::1"], [0, 1, 2]),
        (UNKNOWN, ["10.9.9.9"], []),
        (UNKNOWN, ["fd00::5", "224.0.0.1"], [0, 1]),
        (KNOWN, ["10.9.9.9", "10.0.1.9"], [0]),
        (a_subnet({}), ["10.0.0.1"], [0]),
    ],
)
def test_the_addresses_of_a_nic_are_in_its_subnet(
    subnet: Resource, addresses: list[str], broken: list[int]
) -> None:
    spec = {"subnetRef": TO_SUBNET, "addresses": addresses}
    scene = given("nic").with_targets(subnet).when(Put(spec=spec))
    if broken:
        expected = [f"/addresses/{n}" for n in broken]
        assert pointers(scene.then_refused(Invalid)) == expected
    else:
        scene.then(Created(spec=spec))


def test_a_nic_outside_of_its_subnet_can_still_get_labels() -> None:
    spec = {"subnetRef": TO_SUBNET, "addresses": ["10.9.9.9"]}
    scene = given("nic", Created(spec=spec)).with_targets(DUAL)
    scene.when(Put(spec=spec, labels={"a": "b"})).then(Updated(spec=spec, labels={"a": "b"}))


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        ("10.0.1.7", False),
        ("10.7.0.1", False),
        ("192.0.2.1", True),
        ("fd00::1", True),
        ("instances/absent", False),
    ],
)
def test_an_address_that_is_a_route_target_is_in_the_network(target: str, broken: bool) -> None:
    above = lived(NET, sized(four("10.0.0.0/16"), four("10.7.0.0/16")))
    route = {"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": target}}
    scene = given("routing-table").under({NET: above}).when(Put(spec={"routes": [route]}))
    if broken:
        assert pointers(scene.then_refused(Invalid)) == ["/routes/0/targetRef"]
    else:
        scene.then(Created(spec={"routes": [route]}))


# --- NAT gateways


def test_the_nic_of_a_nat_gateway_is_in_its_zone() -> None:
    nic = lived(KINDS["nic"].ref(IDS, "n"), {"subnetRef": TO_SUBNET})
    address = lived(KINDS["public-ip"].ref(IDS, "p"), {"version": "IPv4"})
    spec = {"nicRef": {"resource": "nics/n"}, "publicIpRef": {"resource": "public-ips/p"}}
    scene = given("nat-gateway-instance").with_targets(nic, address, ONLY4)
    scene.when(Put(spec=spec | {"zone": "a"})).then(Created(spec=spec | {"zone": "a"}))
    refusal = scene.when(Put(spec=spec | {"zone": "b"})).then_refused(Invalid)
    assert pointers(refusal) == ["/nicRef"]


# --- versions of security group rules


@pytest.mark.parametrize(
    ("version", "sources", "broken"),
    [
        ("IPv4", ["10.0.0.0/8", "10.0.0.1", "security-groups/g"], []),
        ("IPv6", ["fd00::/8"], []),
        ("IPv4", ["10.0.0.1", "fd00::/8", "::/0"], [1, 2]),
        ("IPv6", ["10.0.0.1"], [0]),
        (None, ["10.0.0.1", "fd00::/8"], []),
    ],
)
def test_the_addresses_among_the_sources_are_of_the_version_of_the_rule(
    version: str | None, sources: list[str], broken: list[int]
) -> None:
    rule: Json = {"direction": "ingress", "sourceRef": [{"resource": s} for s in sources]}
    rule |= {"version": version} if version else {}
    alone = given("security-group-rule").when(Put(spec=rule))
    group = given("security-group").when(Put(spec={"rules": [rule]}))
    if not broken:
        alone.then(Created(spec=rule))
        group.then(Created(spec={"rules": [rule]}))
        return
    assert pointers(alone.then_refused(Invalid)) == [f"/sourceRef/{n}" for n in broken]
    assert pointers(group.then_refused(Invalid)) == [f"/rules/0/sourceRef/{n}" for n in broken]


# --- a growth that was refused


def test_a_growth_that_the_cloud_refused_can_be_withdrawn() -> None:
    sku = from_catalogue("storage-sku", "s")
    small, large, back = (VOLUME | {"sizeGB": size} for size in (10, 900_000, 12))
    refused = found(State.ERROR, observed_position=3, reason="NoCapacity", sizeGB=10)
    history: list[AnyEvent] = [
        Created(spec=small),
        found(State.ACTIVE, observed_position=1, sizeGB=10),
        Updated(spec=large),
    ]
    growing = given("block-storage", *history).with_targets(sku)
    assert pointers(growing.when(Put(spec=back)).then_refused(Invalid)) == ["/sizeGB"]
    failed = given("block-storage", *history, refused).with_targets(sku)
    failed.when(Put(spec=back)).then(Updated(spec=back))
    failed.when(Put(spec=small)).then(Updated(spec=small))
    too_small = failed.when(Put(spec=VOLUME | {"sizeGB": 9})).then_refused(Invalid)
    assert pointers(too_small) == ["/sizeGB"]


# --- volumes and NICs of instances: one spec


def volume(name: str) -> Json:
    return {"deviceRef": {"resource": f"block-storages/{name}"}}


@pytest.mark.parametrize(
    ("spec", "broken"),
    [
        ({"bootVolume": volume("one"), "dataVolumes": [volume("spare")]}, []),
        (
            {"bootVolume": volume("one"), "dataVolumes": [volume("one")]},
            ["/dataVolumes/0/deviceRef"],
        ),
        (
            {"bootVolume": volume("one"), "dataVolumes": [volume("spare")] * 2},
            ["/dataVolumes/1/deviceRef"],
        ),
        ({"primaryNicRef": {"resource": "one"}, "additionalNicRefs": []}, []),
        (
            {
                "primaryNicRef": {"resource": "nics/one"},
                "additionalNicRefs": [{"resource": "one", "tenant": "acme"}],
            },
            ["/additionalNicRefs/0"],
        ),
    ],
)
def test_an_instance_has_a_volume_or_nic_once(spec: Json, broken: list[str]) -> None:
    targets = [lived(ref, {}) for ref in (DISK, SPARE, NIC)]
    scene = given("instance").with_targets(*targets).when(Put(spec=spec))
    if broken:
        assert pointers(scene.then_refused(Invalid)) == broken
    else:
        scene.then(Created(spec=spec))
