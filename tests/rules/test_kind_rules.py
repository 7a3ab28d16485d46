"""Rules of kinds that no schema can express: fields that exclude each other, ranges within
ranges."""

from typing import Any

import pytest

from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Put
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict, Invalid, NotFound, Refusal
from secaplane.model.events import Created, Updated
from secaplane.model.kind import Kind
from secaplane.model.rules import ProposedSpec
from secaplane.model.shape import Json, Resource, State
from tests.flows.planning import WRITABLE, sensible
from tests.scenario import IDS, WEB, found, from_catalogue, given, lived

NETWORK = KINDS["network"].ref(IDS, "net")
TABLE = lived(KINDS["routing-table"].ref(IDS, "t"), {})
SIZED: Json = {"skuRef": {"resource": "skus/n"}}
N = from_catalogue("network-sku", "n")


def pointers(refusal: Refusal) -> list[str]:
    return [source.pointer.removeprefix("/spec") for source in refusal.sources]


# --- security group rules

TCP, ICMP = {"protocol": "tcp"}, {"protocol": "icmp"}
ECHO = {"icmp": {"type": 8, "code": 0}}


def ports(**fields: Any) -> Json:
    return {"ports": {name.rstrip("_"): value for name, value in fields.items()}}


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ({}, []),
        (TCP | ports(from_=80, to=80), []),
        (ports(from_=1, to=65535), []),
        (ports(from_=80), []),
        (ports(to=80), []),
        (ports(list=[]), ["/ports"]),
        (ICMP | ECHO, []),
        (ECHO, []),
        (ICMP, []),
        (ECHO | ports(from_=80), []),
        (TCP | ECHO, ["/icmp"]),
        ({"protocol": "tcp+udp"} | ECHO, ["/icmp"]),
        (ICMP | ports(from_=80), ["/ports"]),
        (TCP | ports(from_=81, to=80), ["/ports/to"]),
        (TCP | ports(), ["/ports"]),
        ({"protocol": "udp"} | ECHO | ports(from_=2, to=1), ["/icmp", "/ports/to"]),
    ],
)
def test_the_fields_of_a_security_group_rule_are_consistent(rule: Json, broken: list[str]) -> None:
    rule = {"direction": "ingress"} | rule
    grouped = {"rules": [{"direction": "egress"}, rule]}
    alone, group = given("security-group-rule"), given("security-group")
    if not broken:
        alone.when(Put(spec=rule)).then(Created(spec=rule))
        group.when(Put(spec=grouped)).then(Created(spec=grouped))
        return
    refusal = alone.when(Put(spec=rule)).then_refused(Invalid)
    assert pointers(refusal) == broken
    refusal = group.when(Put(spec=grouped)).then_refused(Invalid)
    assert pointers(refusal) == [f"/rules/1{pointer}" for pointer in broken]


# --- addresses in references


@pytest.mark.parametrize(
    "text", ["::ffff:10.0.0.9", "::ffff:0:0/96", "010.1.1.1", "fe80::1%eth0", "10.0.0.0/33"]
)
def test_what_was_meant_to_be_an_address_is_not_taken_for_the_name_of_a_resource(text: str) -> None:
    route = {"destinationCidrBlock": "10.9.0.0/16", "targetRef": {"resource": text}}
    table = given("routing-table").when(Put(spec={"routes": [route]}))
    assert pointers(table.then_refused(Invalid)) == ["/routes/0/targetRef"]
    rule = {"direction": "ingress", "sourceRef": [{"resource": "10.0.0.1"}, {"resource": text}]}
    alone = given("security-group-rule").when(Put(spec=rule))
    assert pointers(alone.then_refused(Invalid)) == ["/sourceRef/1"]
    group = given("security-group").when(Put(spec={"rules": [rule]}))
    assert pointers(group.then_refused(Invalid)) == ["/rules/0/sourceRef/1"]


# --- frontends


@pytest.mark.parametrize(
    ("frontends", "broken"),
    [
        ([("tcp", 80), ("udp", 80), ("tcp", 81)], []),
        ([("both", 80), ("both", 81)], []),
        ([("tcp", 80), ("tcp", 80)], [1]),
        ([("tcp", 80), ("both", 80)], [1]),
        ([("both", 80), ("udp", 80), ("udp", 81), ("both", 81)], [1, 3]),
    ],
)
def test_no_two_frontends_share_port_and_protocol(
    frontends: list[tuple[str, int]], broken: list[int]
) -> None:
    spec = {"frontends": [{"protocol": p, "port": port, "target": {}} for p, port in frontends]}
    scene = given("network-load-balancer").when(Put(spec=spec))
    if broken:
        expected = [f"/frontends/{n}/port" for n in broken]
        assert pointers(scene.then_refused(Invalid)) == expected
    else:
        scene.then(Created(spec=spec))


# --- subnets


def subnet(network: Resource, **cidr: str) -> given:
    spec = {"cidr": cidr, "zone": "a", "routeTableRef": {"resource": "t"}}
    return given("subnet").under({NETWORK: network}).with_targets(TABLE).when(Put(spec=spec))


def network(status: Json | None = None, **spec: Any) -> Resource:
    reports = [found(State.ACTIVE, observed_position=1, **status)] if status else []
    return lived(NETWORK, SIZED | spec, *reports)


WIDE = network(cidr={"ipv4": "10.0.0.0/16", "ipv6": "fd00::/56"})
MORE = network(cidr={"ipv4": "10.0.0.0/16"}, additionalCidrs=[{"ipv4": "192.168.0.0/24"}])
GROWN: Json = SIZED | {
    "cidr": {"ipv4": "10.0.0.0/16"},
    "additionalCidrs": [{"ipv4": "10.7.0.0/16"}],
}
GROWING = given(
    "network",
    Created(spec=SIZED | {"cidr": GROWN["cidr"]}),
    found(State.ACTIVE, observed_position=1, cidr=GROWN["cidr"]),
    Updated(spec=GROWN),
).resource
"""A network with a new range that the cloud has not reported yet."""
UNCHOSEN = network(cidr={"ipv4": "0.0.0.0/16"})
CHOSEN = network({"cidr": {"ipv4": "172.16.0.0/16"}}, cidr={"ipv4": "0.0.0.0/16"})


@pytest.mark.parametrize(
    ("above", "cidr"),
    [
        (WIDE, {"ipv4": "10.0.0.0/16"}),
        (WIDE, {"ipv4": "10.0.255.0/24", "ipv6": "fd00:0:0:ff::/64"}),
        (WIDE, {"ipv4": "10.0.1.7/24"}),
        (WIDE, {"ipv4": "0.0.0.0/24", "ipv6": "::/64"}),
        (WIDE, {}),
        (MORE, {"ipv4": "192.168.0.128/25"}),
        (UNCHOSEN, {"ipv4": "10.9.0.0/24"}),
        (CHOSEN, {"ipv4": "172.16.3.0/24"}),
        (GROWING, {"ipv4": "10.0.3.0/24"}),
        (GROWING, {"ipv4": "10.7.3.0/24"}),
    ],
)
def test_a_subnet_within_the_known_ranges_of_its_network_is_accepted(
    above: Resource, cidr: Json
) -> None:
    event = subnet(above, **cidr)
    event.then(Created(spec=event.command.spec))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("above", "cidr", "broken"),
    [
        (WIDE, {"ipv4": "10.1.0.0/24"}, ["ipv4"]),
        (WIDE, {"ipv4": "10.0.0.0/15"}, ["ipv4"]),
        (WIDE, {"ipv4": "10.1.0.0/24", "ipv6": "fd01::/64"}, ["ipv4", "ipv6"]),
        (MORE, {"ipv4": "192.168.1.0/24"}, ["ipv4"]),
        (MORE, {"ipv6": "fd00::/64"}, ["ipv6"]),
        (CHOSEN, {"ipv4": "10.0.0.0/24"}, ["ipv4"]),
    ],
)
def test_a_subnet_outside_of_its_network_is_refused(
    above: Resource, cidr: Json, broken: list[str]
) -> None:
    refusal = subnet(above, **cidr).then_refused(Invalid)
    assert pointers(refusal) == [f"/cidr/{family}" for family in broken]


def test_a_subnet_outside_of_its_changed_network_can_still_be_updated() -> None:
    spec = {"cidr": {"ipv4": "10.9.0.0/24"}, "zone": "a", "routeTableRef": {"resource": "t"}}
    scene = given("subnet", Created(spec=spec)).under({NETWORK: WIDE})
    scene.when(Put(spec=spec, labels={"a": "b"})).then(Updated(spec=spec, labels={"a": "b"}))


# --- fields that can be set once


def test_the_sku_of_a_subnet_can_be_set_later_and_not_changed() -> None:
    plain = {"cidr": {}, "zone": "a", "routeTableRef": {"resource": "t"}}
    sized, other = plain | SIZED, plain | {"skuRef": {"resource": "skus/m"}}
    skus = (TABLE, N, from_catalogue("network-sku", "m"))
    for before, after in ((plain, sized), (sized, sized), (sized, plain)):
        scene = given("subnet", Created(spec=before)).with_targets(*skus)
        scene.when(Put(spec=after)).then(Updated(spec=after))
    scene = given("subnet", Created(spec=sized)).with_targets(*skus)
    assert pointers(scene.when(Put(spec=other)).then_refused(Invalid)) == ["/skuRef"]


# --- zones


def test_a_zone_must_exist_in_the_region() -> None:
    spec = {"zone": "d"}
    refusal = given("instance").in_zones("a", "b").when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(refusal) == ["/zone"]
    assert refusal.detail == "/spec/zone: unknown zone; this region has a, b"
    given("instance").in_zones("d").when(Put(spec=spec)).then(Created(spec=spec))
    given("instance").when(Put(spec=spec)).then(Created(spec=spec))


def test_a_closed_zone_blocks_no_update() -> None:
    spec = {"zone": "d"}
    scene = given("instance", Created(spec=spec)).in_zones("a")
    scene.when(Put(spec=spec)).then(Updated(spec=spec))


# --- all kinds


@pytest.mark.parametrize("whole", [False, True], ids=["smallest", "whole"])
@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
def test_the_specs_of_the_flow_tests_break_no_rule(kind: Kind, whole: bool) -> None:
    spec = sensible(kind, whole=whole)
    BodyReader(region="eu-1").read(kind, {"spec": spec})
    assert kind.rules.check is None or list(kind.rules.check(spec)) == []
    made = lived(kind.ref(IDS, "one"), spec)
    for before in (None, made):
        proposed = ProposedSpec(spec=spec, before=before)
        assert [each for rule in kind.rules.compared for each in rule.check(proposed)] == []


# --- system roles


@pytest.mark.parametrize("name", ["seca.admin", "seca.mine", "seca."])
def test_no_caller_writes_a_system_role(name: str) -> None:
    spec = {"permissions": [{"provider": "seca.storage", "resources": ["*"], "verb": ["get"]}]}
    given("role").named(name).when(Put(spec=spec)).then_refused(Conflict)
    given("role").named("secaplane").when(Put(spec=spec)).then(Created(spec=spec))


def test_below_an_absent_parent_no_other_rule_is_checked() -> None:
    nowhere = given("instance").under({WEB: None}).in_zones("a").when(Put(spec={"zone": "d"}))
    assert "workspace web not found" in nowhere.then_refused(NotFound).detail


# --- limits of the policy


@pytest.mark.parametrize(("resources", "broken"), [(250, []), (251, ["/permissions"])])
def test_the_size_of_a_role_is_limited(resources: int, broken: list[str]) -> None:
    verbs = ["get", "list", "put", "delete", "post"]
    permission = {
        "provider": "seca.compute",
        "resources": [f"instances/i{n}" for n in range(resources)],
        "verb": verbs,
    }
    spec = {"permissions": [permission] * 8}
    if not broken:
        given("role").when(Put(spec=spec)).then(Created(spec=spec))
    else:
        refusal = given("role").when(Put(spec=spec)).then_refused(Invalid)
        assert pointers(refusal) == broken


@pytest.mark.parametrize(("more", "broken"), [(0, []), (1, ["/scopes"])])
def test_the_size_of_an_assignment_is_limited(more: int, broken: list[str]) -> None:
    names = [f"w{n}" for n in range(256)]
    scopes = [{"workspaces": names} for _ in range(4)] + [{"workspaces": names[:more]}]
    spec = {"subs": ["jane"], "roles": ["seca.workspace-viewer"], "scopes": scopes}
    if not broken:
        given("role-assignment").when(Put(spec=spec)).then(Created(spec=spec))
    else:
        refusal = given("role-assignment").when(Put(spec=spec)).then_refused(Invalid)
        assert pointers(refusal) == broken


@pytest.mark.parametrize("text", ["10.0.1.0/24", "10.0.1.7/31", "fd00::/64", "0.0.0.0/0"])
def test_a_route_leads_to_one_address_and_to_no_range(text: str) -> None:
    route = {"destinationCidrBlock": "10.9.0.0/16", "targetRef": {"resource": text}}
    address = text.partition("/")[0]
    single = {**route, "targetRef": {"resource": address}}
    prefixed = {**route, "targetRef": {"resource": f"{address}/{128 if ':' in text else 32}"}}
    check = KINDS["routing-table"].rules.check
    assert check is not None
    broken = check({"routes": [single, prefixed, route]})
    assert [each.pointer for each in broken] == ["/spec/routes/2/targetRef"]
