"""Derived fields of the status, kind by kind: addresses, attachments, counts, health
(docs/reference/api.md; State)."""

import asyncio
import re
from functools import partial
from ipaddress import ip_address, ip_network

import pytest

from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at

MADE = ["active", "creating", "pending"]
N1K = {"skuRef": {"resource": "skus/seca.n1k"}}
VOLUME = {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd100"}}
PRIVATE = [ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


class Scene:
    """A workspace of this test alone."""

    def __init__(self, client: Client, workspace: str) -> None:
        self.client, self.workspace = client, workspace

    def path(self, kind: str, name: str) -> str:
        ids = {"workspace": self.workspace, "network": "net", "cluster": "k8s"}
        return at(kind, name, **ids)

    async def put(self, kind: str, name: str, spec: Json) -> Answer:
        answer = await self.client.put(self.path(kind, name), {"spec": spec})
        assert answer.status in (200, 201), answer
        return answer

    async def made(self, kind: str, name: str, spec: Json) -> Json:
        """PUT a resource; its status once it is active."""
        await self.put(kind, name, spec)
        return await self.status(kind, name)

    async def status(self, kind: str, name: str) -> Json:
        status: Json = (await self.client.active(self.path(kind, name))).json["status"]
        return status

    async def becomes(self, kind: str, name: str, field: str, value: object) -> Answer:
        def reached(answer: Answer) -> bool:
            return bool(answer.json["status"].get(field) == value)

        return await self.client.until(self.path(kind, name), reached)

    async def deleted(self, kind: str, name: str) -> None:
        answer = await self.client.delete(self.path(kind, name))
        assert answer.status == 202, answer

    async def act(self, name: str, action: str) -> None:
        answer = await self.client.post(f"{self.path('instance', name)}/{action}")
        assert answer.status == 202, answer

    # setups shared by several tests

    async def network(self) -> None:
        cidr = {"cidr": {"ipv4": "10.0.0.0/16"}}
        await self.put("network", "net", N1K | cidr)
        await self.put("internet-gateway", "way", {})
        route = {"destinationCidrBlock": "0.0.0.0/0", "targetRef": ref("internet-gateways/way")}
        await self.put("routing-table", "routes", {"routes": [route]})
        await self.put("subnet", "sub", subnet("10.0.1.0/24"))

    async def instance(self, name: str, **more: Json) -> None:
        await self.put("block-storage", f"{name}-disk", VOLUME)
        boot = {"deviceRef": ref(f"block-storages/{name}-disk")}
        spec = {"skuRef": ref("skus/seca.dxs"), "zone": "a", "bootVolume": boot}
        await self.put("instance", name, spec | more)


def ref(resource: str) -> Json:
    return {"resource": resource}


def subnet(cidr: str, table: str = "routes") -> Json:
    return {"cidr": {"ipv4": cidr}, "zone": "a", "routeTableRef": ref(f"route-tables/{table}")}


def nic(*addresses: str, **more: object) -> Json:
    return {"subnetRef": ref("networks/net/subnets/sub"), "addresses": list(addresses)} | more


@pytest.fixture
async def scene(client: Client, workspace: str) -> Scene:
    scene = Scene(client, workspace)
    await client.made(at("workspace", workspace), {"spec": {}})
    return scene


# --- ranges and addresses


async def test_a_network_shows_the_sent_ranges_until_the_cloud_has_chosen_its_own(
    scene: Scene,
) -> None:
    automatic = N1K | {"cidr": {"ipv4": "0.0.0.0/16"}, "additionalCidrs": [{"ipv6": "::/56"}]}
    first = (await scene.put("network", "net", automatic)).json
    assert first["spec"] == automatic
    assert first["status"]["cidr"] == automatic["cidr"]
    assert first["status"]["additionalCidrs"] == automatic["additionalCidrs"]
    found = await scene.status("network", "net")
    chosen = ip_network(found["cidr"]["ipv4"])
    assert chosen.prefixlen == 16
    assert any(chosen.subnet_of(each) for each in PRIVATE if each.version == 4)  # type: ignore[arg-type]
    (more,) = found["additionalCidrs"]
    assert ip_network(more["ipv6"]).prefixlen == 56
    await scene.put("network", "net", automatic)
    again = await scene.becomes("network", "net", "state", "active")
    assert again.json["spec"] == automatic
    assert again.json["status"]["cidr"] == found["cidr"]


async def test_a_subnet_and_its_nics_get_addresses_of_their_own(scene: Scene) -> None:
    await scene.network()
    status = await scene.made("subnet", "auto", subnet("0.0.0.0/26"))
    chosen = ip_network(status["cidr"]["ipv4"])
    assert (chosen.prefixlen, str(chosen.supernet(new_prefix=16))) == (26, "10.0.0.0/16")
    assert status["routeTableRef"] == ref("route-tables/routes")
    names = [f"n{n}" for n in range(6)]
    await asyncio.gather(*(scene.put("nic", name, nic("0.0.0.0", "0.0.0.0")) for name in names))
    found = [await scene.status("nic", name) for name in names]
    taken = [ip_address(text) for status in found for text in status["addresses"]]
    assert len(set(taken)) == 12
    hosts = list(ip_network("10.0.1.0/24").hosts())
    assert set(taken) <= set(hosts)
    assert len({status["macAddress"] for status in found}) == 6
    for status in found:
        assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", status["macAddress"])
        assert [each["state"] for each in status["conditions"]] == MADE


async def test_an_assigned_address_stays_the_same_after_an_update(scene: Scene) -> None:
    await scene.network()
    first = await scene.made("nic", "n", nic("10.0.1.77", "0.0.0.0"))
    assert first["addresses"][0] == "10.0.1.77"
    answer = await scene.put("nic", "n", nic("10.0.1.77", "0.0.0.0"))
    assert answer.json["spec"]["addresses"] == ["10.0.1.77", "0.0.0.0"]
    again = await scene.client.until(
        scene.path("nic", "n"), lambda answer: answer.history == ["active", "updating", *MADE]
    )
    for field in ("addresses", "macAddress"):
        assert again.json["status"][field] == first[field]


@pytest.mark.parametrize(("version", "length"), [("IPv4", 4), ("IPv6", 6)])
async def test_a_public_ip_has_an_address(scene: Scene, version: str, length: int) -> None:
    found = await scene.made("public-ip", "p", {"version": version})
    assert ip_address(found["ipAddress"]).version == length
    own = {"IPv4": "192.0.2.9", "IPv6": "2001:db8:1::9"}[version]
    chosen = await scene.made("public-ip", "mine", {"version": version, "address": own})
    assert chosen["ipAddress"] == own


# --- attachments


async def test_a_volume_and_a_public_ip_show_the_instance_that_uses_them(scene: Scene) -> None:
    """The attachment adds no condition and does not change lastModifiedAt."""
    await scene.network()
    await scene.put("block-storage", "data", VOLUME)
    address = await scene.made("public-ip", "p", {"version": "IPv4"})
    assert "attachedTo" not in address
    await scene.put("nic", "n", nic("0.0.0.0", publicIpRefs=[ref("public-ips/p")]))
    nic_status = await scene.status("nic", "n")
    assert nic_status["publicIpRefs"] == [ref("public-ips/p")]
    data = [{"deviceRef": ref("block-storages/data")}]
    await scene.instance("one", dataVolumes=data, primaryNicRef=ref("nics/n"))  # type: ignore[arg-type]
    attached = (("block-storage", "one-disk"), ("block-storage", "data"), ("public-ip", "p"))
    for kind, name in attached:
        found = await scene.client.until(
            scene.path(kind, name),
            lambda answer: answer.state == "active" and "attachedTo" in answer.json["status"],
        )
        assert found.json["status"]["attachedTo"]["resource"].endswith("instances/one")
        assert found.history == MADE
        metadata = found.json["metadata"]
        assert metadata["lastModifiedAt"] == metadata["createdAt"]
    await scene.deleted("instance", "one")
    for kind, name in attached:
        await scene.becomes(kind, name, "attachedTo", None)


async def test_a_workspace_counts_its_resources(scene: Scene) -> None:
    path = at("workspace", scene.workspace)

    def counts(number: int, answer: Answer) -> bool:
        return bool(answer.json["status"]["resourceCount"] == number)

    empty = await scene.client.until(path, partial(counts, 0))
    await scene.network()
    full = await scene.client.until(path, partial(counts, 4))
    assert full.history == MADE
    assert full.json["metadata"] == empty.json["metadata"]
    await scene.deleted("subnet", "sub")
    await scene.client.until(path, partial(counts, 3))


# --- status of parts


def states(status: Json, field: str) -> list[str]:
    return [each["state"] for each in status[field]]


async def test_each_route_has_a_status_of_its_own(scene: Scene) -> None:
    """A route to a missing instance is pending alone, and is bound when the instance appears."""
    await scene.network()
    targets = ("internet-gateways/way", "instances/late", "10.0.1.9")
    routes = [
        {"destinationCidrBlock": f"10.{n}.0.0/16", "targetRef": ref(target)}
        for n, target in enumerate(targets)
    ]
    status = await scene.made("routing-table", "more", {"routes": routes})
    assert states(status, "routes") == ["active", "pending", "active"]
    await scene.instance("late")
    bound = await scene.client.until(
        scene.path("routing-table", "more"),
        lambda answer: states(answer.json["status"], "routes") == ["active"] * 3,
    )
    assert bound.history == MADE, "observed status adds no condition"
    assert bound.json["metadata"]["resourceVersion"] == 1
    await scene.deleted("instance", "late")
    await scene.client.until(
        scene.path("routing-table", "more"),
        lambda answer: states(answer.json["status"], "routes") == ["active", "pending", "active"],
    )


async def test_each_rule_of_a_group_has_a_status_of_its_own(scene: Scene) -> None:
    rule = {"direction": "ingress", "protocol": "tcp", "ports": {"from": 80}}
    await scene.put("security-group-rule", "r", rule)
    group = {"rules": [rule, rule], "ruleRefs": [ref("security-group-rules/r")]}
    status = await scene.made("security-group", "g", group)
    assert states(status, "rules") == ["active"] * 3
    assert all(each["conditions"] for each in status["rules"])
    await scene.deleted("security-group-rule", "r")
    await scene.client.until(
        scene.path("security-group", "g"),
        lambda answer: states(answer.json["status"], "rules") == ["active", "active", "pending"],
    )


# --- generated once


async def test_generated_keys_and_configurations_do_not_change(scene: Scene) -> None:
    account = at("object-storage-account", f"of-{scene.workspace}")
    first = (await scene.client.made(account, {"spec": {}})).json["status"]
    assert {"accessKey", "secretKey", "canonicalUserId"} <= set(first)
    await scene.client.put(account, {"spec": {"quota": 1}})
    again = await scene.client.until(account, lambda answer: len(answer.history) == 5)
    for field in ("accessKey", "secretKey", "canonicalUserId"):
        assert again.json["status"][field] == first[field]
        assert "sealed" not in first[field]
    spec = {"skuRef": ref("skus/seca.k8s-1-34-shared")}
    cluster = await scene.made("kubernetes-cluster", "k8s", spec)
    assert "clusters:" in cluster["kubeConfig"]


# --- owned resources and members


async def test_the_nodes_of_a_pool_are_instances_that_are_on(scene: Scene) -> None:
    await scene.network()
    await scene.put("kubernetes-cluster", "k8s", {"skuRef": ref("skus/seca.k8s-1-34-shared")})
    template = {
        "skuRef": ref("skus/seca.dxs"),
        "subnetRef": ref("networks/net/subnets/sub"),
        "zone": "a",
        "rootVolume": {"skuRef": ref("skus/seca.rd100"), "sizeGB": 20},
    }
    pool = {"instances": 2, "nodeTemplate": template}
    status = await scene.made("kubernetes-node-pool", "pool", pool)
    assert [each["state"] for each in status["conditions"]] == MADE
    names = [node["resource"].removeprefix("instances/") for node in status["nodes"]]
    assert len(set(names)) == 2
    for name in names:
        node = await scene.status("instance", name)
        assert node["powerState"] == "on"
    await scene.put("kubernetes-node-pool", "pool", pool | {"instances": 1})
    fewer = await scene.becomes("kubernetes-node-pool", "pool", "nodes", status["nodes"][:1])
    assert fewer.history == ["active", "updating", *MADE]
    await scene.client.gone(scene.path("instance", names[1]))
    await scene.deleted("kubernetes-node-pool", "pool")
    await scene.client.gone(scene.path("kubernetes-node-pool", "pool"))
    for kind in ("instance", "nic", "block-storage"):
        assert (await scene.client.get(scene.path(kind, "x").rpartition("/")[0])).names == []


async def test_a_load_balancer_lists_its_healthy_members(scene: Scene) -> None:
    """A member is healthy while its instance is on; the list follows the power state."""
    await scene.network()
    for name in ("front", "one", "two"):
        await scene.put("nic", name, nic("0.0.0.0"))
    members = [ref("nics/one"), ref("nics/two")]
    spec = {
        "nicRef": ref("nics/front"),
        "frontends": [{"protocol": "tcp", "port": 80, "target": {"members": members}}],
    }
    assert (await scene.made("network-load-balancer", "lb", spec))["healthyMembers"] == []
    healthy = partial(scene.becomes, "network-load-balancer", "lb", "healthyMembers")
    for name in ("one", "two"):
        await scene.instance(name, primaryNicRef=ref(f"nics/{name}"))
    await scene.act("one", "start")
    await healthy(members[:1])
    await scene.act("two", "start")
    await healthy(members)
    await scene.act("one", "stop")
    await healthy(members[1:])
    await scene.deleted("instance", "two")
    await healthy([])
    await scene.act("one", "start")
    await healthy(members[:1])
    await scene.instance("one")
    quiet = await healthy([])
    assert quiet.history == MADE
    assert quiet.json["metadata"]["resourceVersion"] == 1
