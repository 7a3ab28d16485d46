"""What waits for others, and what goes before others: nobody has to do things in order, or to wait
(CONTRACT: State; Deletion)."""

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
    """One that this cloud refuses, because its subnet has no room for all its addresses."""
    await scene.network()
    await scene.put("subnet", "sub", subnet("10.0.1.0/30"))
    await scene.put("nic", "n", nic(*["0.0.0.0"] * 9))
    path = scene.path("nic", "n")
    refused = await scene.client.until(path, lambda answer: answer.state == "error")
    assert refused.history == ["error", "creating", "pending"]
    assert refused.json["status"]["conditions"][0]["reason"] == "AddressesUsedUp"
    return path


async def balanced(scene: Scene) -> Answer:
    """A load balancer with that NIC, once it says what it waits for."""
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


async def test_who_waits_says_for_what_and_adds_no_entry(scene: Scene) -> None:
    path = await crowded_nic(scene)
    waiting = await balanced(scene)
    assert waiting.history == ["pending"]
    newest = waiting.json["status"]["conditions"][0]
    assert newest["reason"] == "WaitingForNic"
    assert newest["message"] == "waits until nic n is active"
    await scene.put("nic", "n", nic("0.0.0.0"))
    mended = await scene.client.until(path, lambda answer: answer.state == "active")
    assert mended.history == ["active", "updating", "error", "creating", "pending"]
    served = await scene.client.active(scene.path("network-load-balancer", "lb"))
    assert served.history == MADE


async def test_what_waits_and_what_is_broken_can_be_deleted(scene: Scene) -> None:
    path = await crowded_nic(scene)
    await balanced(scene)
    for each in (scene.path("network-load-balancer", "lb"), path):
        assert (await scene.client.delete(each)).status == 202
        await scene.client.gone(each)


async def test_nobody_waits_between_one_put_and_the_next(scene: Scene) -> None:
    """All at once, in an order in which each finds what it names; all become active."""
    await scene.network()
    await scene.put("nic", "n", nic("0.0.0.0"))
    await scene.instance("one", primaryNicRef=ref("nics/n"))
    made = [("network", "net"), ("subnet", "sub"), ("nic", "n"), ("instance", "one")]
    answers = await asyncio.gather(*(scene.client.active(scene.path(*each)) for each in made))
    assert [answer.history for answer in answers] == [MADE] * 4


async def test_all_can_be_deleted_in_order_without_waiting(scene: Scene) -> None:
    """The order of the conformance run: what uses, before what it uses (digest, 14)."""
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


async def test_a_subnet_may_lie_in_what_was_only_just_added(scene: Scene) -> None:
    """A range of a network counts from the PUT on."""
    await scene.network()
    await scene.status("network", "net")
    wider = N1K | {"cidr": {"ipv4": "10.0.0.0/16"}, "additionalCidrs": [{"ipv4": "10.9.0.0/16"}]}
    await scene.put("network", "net", wider)
    status = await scene.made("subnet", "new", subnet("10.9.1.0/24"))
    assert status["cidr"] == {"ipv4": "10.9.1.0/24"}
