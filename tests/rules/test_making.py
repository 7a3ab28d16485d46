"""Provisioning in the simulated cloud: the status of each kind."""

import re
from collections.abc import Iterator

import pytest
import yaml

from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision import PROVISIONERS
from tests.rules.cloud_scene import MACHINE, ROUTED, SIZED, VOLUME, Scene, to

NODES: Json = {
    "instances": 2,
    "nodeTemplate": {
        "skuRef": to("skus/seca.ds"),
        "subnetRef": to("networks/n/subnets/s"),
        "zone": "a",
        "rootVolume": {"skuRef": to("skus/seca.rd100"), "sizeGB": 20},
    },
}
CLUSTER: Json = {"skuRef": to("skus/seca.k8s-1-33-shared")}
GATEWAY: Json = {"nicRef": to("nics/n"), "publicIpRef": to("public-ips/p"), "zone": "a"}
RULE: Json = {"direction": "ingress"}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def test_every_kind_backed_by_a_plugin_has_a_provisioner() -> None:
    assert set(PROVISIONERS) == {
        kind.name for kind in KINDS.values() if kind.backing is Backing.PLUGIN
    }


@pytest.mark.parametrize("kind", ["workspace", "internet-gateway", "security-group-rule"])
def test_some_kinds_need_nothing_in_the_cloud(scene: Scene, kind: str) -> None:
    assert scene.made(kind, {}) == {}


@pytest.mark.parametrize(
    ("kind", "spec", "reason"),
    [
        ("instance", MACHINE | {"zone": "z"}, "ZoneUnknown"),
        ("instance", MACHINE | {"skuRef": to("skus/seca.rd100")}, "SkuUnknown"),
        ("block-storage", VOLUME | {"skuRef": to("skus/seca.ds")}, "SkuUnknown"),
        ("network", {"cidr": {}, "skuRef": to("seca.ds")}, "SkuUnknown"),
        ("subnet", ROUTED | {"cidr": {}, "zone": "z"}, "ZoneUnknown"),
        ("subnet", ROUTED | {"cidr": {}, "skuRef": to("x")}, "SkuUnknown"),
        ("nic", {"addresses": ["10.0.0.1"], "skuRef": to("x")}, "SkuUnknown"),
        ("kubernetes-cluster", {"skuRef": to("skus/seca.ds")}, "SkuUnknown"),
        (
            "kubernetes-node-pool",
            {"nodeTemplate": NODES["nodeTemplate"] | {"zone": "z"}},
            "ZoneUnknown",
        ),
        (
            "kubernetes-node-pool",
            {"nodeTemplate": NODES["nodeTemplate"] | {"rootVolume": {"skuRef": to("x")}}},
            "SkuUnknown",
        ),
        ("nat-gateway-instance", GATEWAY | {"zone": "z"}, "ZoneUnknown"),
    ],
)
def test_unknown_skus_and_zones_are_refused_and_create_nothing(
    scene: Scene, kind: str, spec: Json, reason: str
) -> None:
    assert scene.refused(kind, spec) == reason
    assert scene.cloud.state.things() == []


# --- instances, block storages, images


def test_an_instance_has_the_desired_power(scene: Scene) -> None:
    assert scene.made("instance", MACHINE) == {"powerState": "off"}
    assert scene.made("instance", MACHINE, power="on") == {"powerState": "on"}
    scene.act("instance", "stop", 5)
    assert [thing.status for thing in scene.cloud.state.things()] == [{"powerState": "off"}]


def test_a_volume_can_grow_and_cannot_shrink(scene: Scene) -> None:
    assert scene.made("block-storage", VOLUME) == {"sizeGB": 10}
    assert scene.made("block-storage", VOLUME | {"sizeGB": 20}) == {"sizeGB": 20}
    assert scene.refused("block-storage", VOLUME) == "CannotShrink"


def test_an_image_is_copied_from_its_volume_once_that_exists(scene: Scene) -> None:
    image = {"blockStorageRef": to("workspaces/w/block-storages/v"), "cpuArchitecture": "amd64"}
    bound = {"/blockStorageRef": "v"}
    assert scene.made("image", image) == {}
    assert scene.made("image", image, **bound) == {}
    scene.made("block-storage", VOLUME, uid="v")
    assert scene.made("image", image, **bound) == {"sizeMB": 10240}
    scene.made("block-storage", VOLUME | {"sizeGB": 20}, uid="v")
    assert scene.made("image", image, **bound) == {"sizeMB": 10240}
    scene.remove("v")
    assert scene.made("image", image) == {"sizeMB": 10240}


# --- routes and rules


def route(cidr: str, target: str) -> Json:
    return {"destinationCidrBlock": cidr, "targetRef": to(target)}


def test_a_route_is_pending_until_its_target_exists(scene: Scene) -> None:
    table = {"routes": [route("0.0.0.0/0", "instances/i"), route("10.0.0.0/8", "10.0.0.7")]}
    bound = {"/routes/0/targetRef": "i"}
    noon = "2026-01-01T12:00:00.000Z"
    active = {"state": "active", "conditions": [{"state": "active", "lastTransitionAt": noon}]}
    waiting = {
        "state": "pending",
        "lastTransitionAt": noon,
        "type": "target",
        "reason": "TargetAbsent",
        "message": "instances/i does not exist yet",
    }
    pending = {"state": "pending", "conditions": [waiting]}
    assert scene.made("routing-table", table) == {"routes": [pending, active]}
    scene.now_s += 60.25
    assert scene.made("routing-table", table, **bound) == {"routes": [pending, active]}
    scene.made("instance", MACHINE, uid="i")
    now = {"state": "active", "lastTransitionAt": "2026-01-01T12:01:00.250Z"}
    there = {"state": "active", "conditions": [now, waiting]}
    assert scene.made("routing-table", table, **bound) == {"routes": [there, active]}
    scene.now_s += 60
    assert scene.made("routing-table", table, **bound) == {"routes": [there, active]}


def test_a_route_keeps_its_history_when_other_routes_change(scene: Scene) -> None:
    one, two, three = (route(f"10.{n}.0.0/16", "10.0.0.7") for n in range(3))
    before = scene.made("routing-table", {"routes": [one, two, one]})["routes"]
    scene.now_s += 60
    after = scene.made("routing-table", {"routes": [three, two, one]})["routes"]
    assert after[1:] == before[:2]
    assert after[0] != before[0]


def test_the_conditions_of_a_route_are_bounded_and_newest_first(scene: Scene) -> None:
    table, bound = {"routes": [route("0.0.0.0/0", "instances/i")]}, {"/routes/0/targetRef": "i"}
    scene.made("instance", MACHINE, uid="i")
    for _ in range(20):
        scene.now_s += 1
        scene.made("routing-table", table)
        scene.now_s += 1
        status = scene.made("routing-table", table, **bound)
    history = status["routes"][0]["conditions"]
    times = [condition["lastTransitionAt"] for condition in history]
    assert len(times) == 32
    assert times == sorted(times, reverse=True)
    assert history[0]["state"] == "active"


def test_a_group_has_a_status_for_each_rule_and_then_for_each_reference(scene: Scene) -> None:
    group = {"rules": [RULE], "ruleRefs": [to("security-group-rules/r"), to("other")]}
    bound = {"/ruleRefs/0": "r"}

    def states() -> list[str]:
        status = scene.made("security-group", group, **bound)
        return [part["state"] for part in status["rules"]]

    assert states() == ["active", "pending", "pending"]
    scene.made("security-group-rule", RULE, uid="r")
    assert states() == ["active", "active", "pending"]
    assert scene.made("security-group", {}, uid="empty") == {"rules": []}


def test_a_status_of_a_security_group_is_bounded(scene: Scene) -> None:
    group = {"rules": [RULE] * 500, "ruleRefs": [to("security-group-rules/r")] * 500}
    assert len(scene.made("security-group", group)["rules"]) == 500


# --- gateways and load balancers


def test_a_nat_gateway_requires_a_nic_in_its_zone_without_public_ips(scene: Scene) -> None:
    bound = {"/nicRef": "nic"}
    assert scene.made("nat-gateway-instance", GATEWAY, **bound) == {}
    scene.network({"ipv4": "10.0.0.0/16"})
    scene.subnet({"ipv4": "10.0.0.0/24"}, zone="b")
    scene.nic("0.0.0.0")
    assert scene.refused("nat-gateway-instance", GATEWAY, **bound) == "ZoneMismatch"
    assert scene.made("nat-gateway-instance", GATEWAY | {"zone": "b"}, **bound) == {}
    scene.subnet({"ipv4": "10.0.1.0/24"}, uid="near")
    spec = {"subnetRef": to("near"), "addresses": ["0.0.0.0"], "publicIpRefs": [to("p")]}
    scene.made("nic", spec, **{"/subnetRef": "near"})
    assert scene.refused("nat-gateway-instance", GATEWAY, **bound) == "NicHasPublicIp"


def test_a_load_balancer_reports_its_healthy_members(scene: Scene) -> None:
    scene.network({"ipv4": "10.0.0.0/16"})
    scene.subnet({"ipv4": "10.0.0.0/24"})
    for name in ("one", "two", "three"):
        scene.nic("0.0.0.0", uid=name)
    members = [to("nics/two"), to("nics/one"), to("workspaces/w/nics/one"), to("nics/absent")]
    spec = {"nicRef": to("nics/three"), "frontends": [{"target": {"members": members}}]}
    places = [f"/frontends/0/target/members/{n}" for n in range(4)]
    bound = dict(zip(places, ["two", "one", "one", "absent"], strict=True))

    def healthy() -> list[Json]:
        members: list[Json] = scene.made("network-load-balancer", spec, **bound)["healthyMembers"]
        return members

    assert healthy() == []
    scene.made("instance", MACHINE, uid="i", power="on", **{"/primaryNicRef": "one"})
    scene.made("instance", MACHINE, uid="j", power="off", **{"/additionalNicRefs/0": "two"})
    assert healthy() == [to("nics/one")]
    scene.made("instance", MACHINE, uid="j", power="on", **{"/additionalNicRefs/0": "two"})
    assert healthy() == [to("nics/two"), to("nics/one")]
    scene.remove("i")
    assert healthy() == [to("nics/two")]
    assert scene.cloud.state.counts().totals["network-load-balancer"]["creates"] == 1


def test_a_status_of_a_load_balancer_is_bounded(scene: Scene) -> None:
    names = [f"n{n}" for n in range(1001)]
    for name in names:
        scene.made("nic", {"subnetRef": to("s"), "addresses": ["10.0.0.1"]}, uid=name)
        scene.made("instance", MACHINE, uid=f"of {name}", power="on", **{"/primaryNicRef": name})
    halves = [names[:501], names[501:]]
    frontends = [{"target": {"members": [to(name) for name in half]}} for half in halves]
    bound = {
        f"/frontends/{n}/target/members/{m}": name
        for n, half in enumerate(halves)
        for m, name in enumerate(half)
    }
    status = scene.made("network-load-balancer", {"frontends": frontends}, **bound)
    assert status["healthyMembers"] == [to(name) for name in names[:1000]]


# --- random values


def test_an_account_keeps_its_credentials(scene: Scene) -> None:
    keys = scene.made("object-storage-account", {})
    assert re.fullmatch(r"[A-Z2-7]{20}", keys["accessKey"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", keys["secretKey"])
    assert re.fullmatch(r"[0-9a-f]{64}", keys["canonicalUserId"])
    assert scene.made("object-storage-account", {"x": 1}) == keys
    other = scene.made("object-storage-account", {}, uid="other")
    assert all(other[each] != keys[each] for each in keys)


def test_a_cluster_keeps_its_kube_config(scene: Scene) -> None:
    status = scene.made("kubernetes-cluster", CLUSTER, uid="1.0")
    config = yaml.safe_load(status["kubeConfig"])
    assert config["current-context"] == config["clusters"][0]["name"] == "1.0"
    assert config["clusters"][0]["cluster"]["server"].startswith("https://")
    assert config["contexts"][0]["context"]["user"] == config["users"][0]["name"]
    assert len(config["users"][0]["user"]["token"]) == 44
    assert scene.made("kubernetes-cluster", CLUSTER | {"podCidr": "10.1.0.0/16"}, uid="1.0") == (
        status
    )
    assert scene.made("kubernetes-cluster", CLUSTER, uid="other") != status


def test_a_node_pool_has_no_status_of_its_own(scene: Scene) -> None:
    assert scene.made("kubernetes-node-pool", NODES) == {}


def test_an_unchanged_desired_state_changes_nothing(scene: Scene) -> None:
    spec = SIZED | {"cidr": {"ipv4": "0.0.0.0/16"}}
    before = scene.made("network", spec), scene.cloud.state.things()
    scene.now_s += 60
    assert (scene.made("network", spec), scene.cloud.state.things()) == before
