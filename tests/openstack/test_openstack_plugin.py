"""The plugin on a real OpenStack (`make test-openstack`), looked at with openstacksdk."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from secaplane.model.shape import Resource
from secaplane.plugins import contract
from secaplane.plugins.plugin import (
    Absent,
    InProgress,
    Observed,
    Ready,
    TerminalError,
    ToObserve,
)
from tests.openstack.scene import CLOUDS, CloudScene

pytestmark = pytest.mark.skipif(CLOUDS not in os.environ, reason="make test-openstack starts it")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[CloudScene]:
    made = CloudScene(tmp_path)
    yield made
    await made.plugin.close()


@pytest.fixture
async def workspace(scene: CloudScene) -> AsyncIterator[Resource]:
    """A workspace with a project, which is gone again afterwards."""
    made = scene.workspace()
    assert await scene.ensured(made) == Ready()
    yield made
    assert await scene.removed(made) == Ready()


@pytest.mark.parametrize("check", contract.CHECKS, ids=contract.name)
async def test_the_contract(check: contract.Check, scene: CloudScene) -> None:
    async def objects(uid: str) -> int:
        return sum(each["name"] == f"seca-{uid}" for each in await scene.seen("volumes"))

    try:
        await contract.run_check(check, contract.Subject(scene.connect, objects=objects))
    except contract.NotApplicable as reason:
        pytest.skip(str(reason))


async def test_a_workspace_is_a_project_and_is_made_once(scene: CloudScene) -> None:
    workspace = scene.workspace()
    for _ in range(3):
        assert await scene.ensured(workspace) == Ready()
    named = [
        each for each in await scene.seen("projects") if each["name"] == f"seca-{workspace.uid}"
    ]
    assert [each["tags"] for each in named] == [["secaplane"]]
    assert await scene.removed(workspace) == Ready()
    assert await scene.removed(workspace) == Ready()
    names = [each["name"] for each in await scene.seen("projects")]
    assert f"seca-{workspace.uid}" not in names


async def test_a_volume_is_made_in_the_project_and_grows(
    scene: CloudScene, workspace: Resource
) -> None:
    volume, bound = scene.volume(workspace), {"workspace": workspace}
    assert await scene.ensured(volume, bound) == Ready({"sizeGB": 1})
    (seen,) = await scene.volumes_of(volume)
    assert (seen["size"], seen["status"], seen["type"]) == (1, "available", "standard")
    assert seen["metadata"]["seca-uid"] == volume.uid
    larger = msgspec.structs.replace(volume, spec=volume.spec | {"sizeGB": 3})
    assert await scene.ensured(larger, bound) == Ready({"sizeGB": 3})
    (seen,) = await scene.volumes_of(volume)
    assert seen["size"] == 3
    assert await scene.removed(volume) == Ready()
    assert await scene.volumes_of(volume) == []


async def test_a_volume_starts_from_an_image(scene: CloudScene, workspace: Resource) -> None:
    volume = scene.volume(workspace, sourceImageRef={"resource": "images/ubuntu-24.04"})
    assert await scene.ensured(volume, {"workspace": workspace}) == Ready({"sizeGB": 1})
    (seen,) = await scene.volumes_of(volume)
    assert seen["image"]
    assert await scene.removed(volume) == Ready()


async def test_of_twins_the_oldest_stays(scene: CloudScene, workspace: Resource) -> None:
    """A process was killed before it had the answer, and another one asked again."""
    volume, bound = scene.volume(workspace), {"workspace": workspace}
    await scene.ensured(volume, bound)
    (oldest,) = await scene.volumes_of(volume)
    await scene.seen("twin", oldest["id"])
    assert len(await scene.volumes_of(volume)) == 2
    assert await scene.ensured(volume, bound) == Ready({"sizeGB": 1})
    left = [x for x in await scene.volumes_of(volume) if x["status"] != "deleting"]
    assert [each["id"] for each in left] == [oldest["id"]]
    assert await scene.removed(volume) == Ready()


async def test_what_was_deleted_by_hand_is_seen_and_made_again(
    scene: CloudScene, workspace: Resource
) -> None:
    volume, bound = scene.volume(workspace), {"workspace": workspace}
    await scene.ensured(volume, bound)
    (seen,) = await scene.volumes_of(volume)
    await scene.seen("delete-volume", seen["id"])
    assert await scene.plugin.observe(volume, scene.fence()) == Absent()
    assert await scene.ensured(volume, bound) == Ready({"sizeGB": 1})
    assert await scene.removed(volume) == Ready()


async def test_a_workspace_stays_while_it_holds_a_volume(
    scene: CloudScene, workspace: Resource
) -> None:
    volume = scene.volume(workspace)
    await scene.ensured(volume, {"workspace": workspace})
    outcome = await scene.plugin.remove(workspace, scene.fence())
    assert isinstance(outcome, InProgress)
    assert await scene.removed(volume) == Ready()


async def test_many_are_observed_with_one_list_for_each_project(
    scene: CloudScene, workspace: Resource
) -> None:
    volumes, bound = [scene.volume(workspace) for _ in range(4)], {"workspace": workspace}
    for each in volumes[:3]:
        await scene.ensured(each, bound)
    asked = [ToObserve(each, scene.fence()) for each in [*volumes, workspace]]
    seen = await scene.plugin.observe_many(asked)
    assert [*seen] == [Observed({"sizeGB": 1})] * 3 + [Absent(), Observed()]
    uids = {item.uid for page in [x async for x in scene.plugin.inventory()] for item in page}
    assert {workspace.uid, *(each.uid for each in volumes[:3])} <= uids
    for each in volumes[:3]:
        assert await scene.removed(each) == Ready()


async def test_the_catalogue_has_what_the_cloud_has(
    scene: CloudScene, caplog: pytest.LogCaptureFixture
) -> None:
    entries = {(each.kind, each.name): each for each in await scene.plugin.catalogue()}
    assert entries["instance-sku", "DS"].spec == {"vCPU": 2, "ram": 4}
    assert entries["region", "eu-1"].spec == {"availableZones": ["a"]}
    assert {("storage-sku", "RD500"), ("image", "ubuntu-24.04")} <= entries.keys()
    assert ("storage-sku", "gone") not in entries
    assert "an entry of the catalogue is left out" in caplog.text


async def test_what_this_cloud_does_not_offer_is_an_error_with_a_reason(
    scene: CloudScene, workspace: Resource
) -> None:
    bound = {"workspace": workspace}
    unknown = scene.volume(workspace, skuRef={"resource": "skus/none"})
    other = scene.volume(workspace, sourceImageRef={"resource": "images/none"})
    reasons = [await scene.ensured(each, bound) for each in (unknown, other)]
    assert reasons == [
        TerminalError("SkuNotOffered", "this cloud offers no storage SKU none"),
        TerminalError("ImageNotOffered", "this cloud offers no image none"),
    ]
    balancer = contract.sample("network-load-balancer", {}, unknown.uid)
    outcome = await scene.ensured(balancer)
    assert isinstance(outcome, TerminalError)
    assert outcome.reason == "KindNotSupported"
