"""Resources that wait for others, and deletions in dependency order: a caller need not wait between
requests (docs/reference/api.md; Deletion)."""

import asyncio

import pytest

from tests.flows.client import Answer, Client, at
from tests.flows.test_status import MADE, N1K, VOLUME, Scene, nic, ref, subnet


@pytest.fixture
async def scene(client: Client, workspace: str) -> Scene:
    scene = Scene(client, workspace)
    await client.put(at("workspace", workspace), {"spec": {}})
    return scene


async def crowded_nic(scene: Scene) -> str:
    """The path of a NIC that the cloud refuses because its subnet has too few addresses."""
    await scene.network()
    await scene.put("subnet", "sub", subnet("10.0.1.0/30"))
    await scene.put("nic", "n", nic(*["0.0.0.0"] * 9))
    path = scene.path("nic", "n")
    refused = await scene.client.until(path, lambda answer: answer.state == "error")
    assert refused.history == ["error", "creating", "pending"]
    assert refused.json["status"]["conditions"][0]["reason"] == "AddressesUsedUp"
    return path


async def balanced(scene: Scene) -> Answer:
    """Create a load balancer with that NIC; its answer once a condition says that it waits."""
    target = {"members": [ref("nics/n")]}
    spec = {
        "nicRef": ref("nics/n"),
        "frontends": [{"protocol": "tcp", "port": 1, "target": target}],
    }
    await scene.put("network-load-balancer", "lb", spec)
    return await scene.client.until(
        scene.path("network-load-balancer", "lb"),
        lambda answer: "reason" in answer.json["status"]["conditions"][0],
    )


async def test_a_waiting_resource_names_its_dependency_and_adds_no_condition(scene: Scene) -> None:
    path = await crowded_nic(scene)
    waiting = await balanced(scene)
    assert waiting.history == ["pending"]
    newest = waiting.json["status"]["conditions"][0]
    assert newest["reason"] == "WaitingForNic"
    assert newest["message"] == "waits until nic n is active"
    await scene.put("nic", "n", nic("0.0.0.0"))
    corrected = await scene.client.until(path, lambda answer: answer.state == "active")
    assert corrected.history == ["active", "updating", "error", "creating", "pending"]
    active = await scene.client.active(scene.path("network-load-balancer", "lb"))
    assert active.history == MADE


async def test_waiting_and_failed_resources_can_be_deleted(scene: Scene) -> None:
    path = await crowded_nic(scene)
    await balanced(scene)
    for each in (scene.path("network-load-balancer", "lb"), path):
        assert (await scene.client.delete(each)).status == 202
        await scene.client.gone(each)


async def test_resources_can_be_created_without_waiting(scene: Scene) -> None:
    """Each PUT follows those that it refers to; all become active."""
    await scene.network()
    await scene.put("nic", "n", nic("0.0.0.0"))
    await scene.instance("one", primaryNicRef=ref("nics/n"))
    made = [("network", "net"), ("subnet", "sub"), ("nic", "n"), ("instance", "one")]
    answers = await asyncio.gather(*(scene.client.active(scene.path(*each)) for each in made))
    assert [answer.history for answer in answers] == [MADE] * 4


async def test_resources_can_be_deleted_without_waiting(scene: Scene) -> None:
    """In the order of the conformance run: each referrer before its targets (SECA: the
    conformance runner)."""
    await scene.network()
    await scene.put("security-group", "g", {})
    await scene.put("public-ip", "p", {"version": "IPv4"})
    more = {"publicIpRefs": [ref("public-ips/p")], "securityGroupRefs": [ref("security-groups/g")]}
    await scene.put("nic", "n", nic("0.0.0.0", **more))
    await scene.put("block-storage", "d", VOLUME)
    image = at("image", f"i-{scene.workspace}")
    copied = {"resource": "block-storages/d", "workspace": scene.workspace}
    await scene.client.put(image, {"spec": {"blockStorageRef": copied, "cpuArchitecture": "amd64"}})
    await scene.instance("one", primaryNicRef=ref("nics/n"), securityGroupRef=ref("g"))
    await scene.act("one", "start")
    order = (
        *(("instance", "one"), ("security-group", "g"), ("nic", "n"), ("public-ip", "p")),
        *(("subnet", "sub"), ("routing-table", "routes"), ("internet-gateway", "way")),
        *(("network", "net"), ("block-storage", "d"), ("block-storage", "one-disk")),
    )
    paths = [*(scene.path(*each) for each in order), image, at("workspace", scene.workspace)]
    for path in paths:
        answer = await scene.client.delete(path)
        assert answer.status == 202, answer
    await asyncio.gather(*(scene.client.gone(path) for path in paths))


async def test_a_subnet_may_use_a_range_added_by_the_previous_put(scene: Scene) -> None:
    """A range of a network is usable as soon as its PUT is answered."""
    await scene.network()
    await scene.status("network", "net")
    wider = N1K | {"cidr": {"ipv4": "10.0.0.0/16"}, "additionalCidrs": [{"ipv4": "10.9.0.0/16"}]}
    await scene.put("network", "net", wider)
    status = await scene.made("subnet", "new", subnet("10.9.1.0/24"))
    assert status["cidr"] == {"ipv4": "10.9.1.0/24"}
