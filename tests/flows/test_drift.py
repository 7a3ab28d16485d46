"""The cloud changes behind the API's back: it is found, reported, repaired or left; orphans go."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
import pytest

from secaplane.audit.entries import Entry, decode
from secaplane.audit.stream import AuditStream
from secaplane.cli.config import Config
from secaplane.cli.settings import DriftSettings
from secaplane.model.explained import ABSENT, DIFFERS, DRIFT, OVER
from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import CloudObject
from tests.flows.client import INSTANCE, VOLUME, Answer, at
from tests.flows.crashing import Scene, scene_of, until
from tests.plane import RunningPlane, shared_plane
from tests.servers import STREAM, connected

DRIFT_SETTINGS = DriftSettings(
    repair=("instance",), per_second=50, confirm_seconds=0.3, inventory_minutes=0.01
)


@pytest.fixture(scope="module")
def plane() -> Iterator[RunningPlane]:
    with shared_plane(Config(drift=DRIFT_SETTINGS)) as running:
        yield running


@pytest.fixture
async def scene(plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(plane) as made:
        await made.client.made(at("workspace", "w"), {})
        yield made


def inside(kind: str, name: str) -> str:
    return at(kind, name, workspace="w")


def reasons(answer: Answer) -> list[str]:
    """The reasons of the conditions about drift, newest first."""
    conditions = answer.json["status"]["conditions"]
    return [each["reason"] for each in conditions if each.get("type") == DRIFT]


async def in_cloud(scene: Scene, name: str) -> CloudObject:
    (thing,) = [each for each in await scene.site.things() if each.path.endswith(f"/{name}")]
    return thing


async def put_behind(scene: Scene, thing: CloudObject) -> None:
    await scene.site.ask("PUT", f"/behind/{thing.uid}", msgspec.to_builtins(thing))


async def uids(scene: Scene) -> set[str]:
    return {each.uid for each in await scene.site.things()}


async def monitor(scene: Scene, path: str) -> str:
    port = scene.plane.dev.process("reconcilers").environment["SECAPLANE_MONITOR_PORT"]
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def metric(scene: Scene, name: str) -> float:
    lines = (await monitor(scene, "/metrics")).splitlines()
    return next(float(each.split()[1]) for each in lines if each.startswith(f"secaplane_{name} "))


async def compared_again(scene: Scene) -> None:
    """Wait until everything has been compared several times more."""
    goal = await metric(scene, "drift_comparisons_total") + 60

    async def reached() -> bool:
        return await metric(scene, "drift_comparisons_total") >= goal

    await until(reached, "more comparisons")


async def test_a_machine_that_dies_is_found_and_repaired_where_the_setting_says_so(
    scene: Scene,
) -> None:
    path = inside("instance", "machine")
    await scene.client.made(inside("block-storage", "disk"), VOLUME)
    before = await scene.client.made(path, INSTANCE)
    thing = await in_cloud(scene, "machine")
    await scene.site.ask("DELETE", f"/behind/{thing.uid}")
    over = await scene.client.until(path, lambda each: OVER in reasons(each))
    assert reasons(over) == [OVER, ABSENT]
    assert over.history[:3] == ["active", "active", "active"]
    assert over.json["metadata"]["resourceVersion"] == before.json["metadata"]["resourceVersion"]
    again = await in_cloud(scene, "machine")
    assert (again.uid, again.spec) == (thing.uid, thing.spec)
    await compared_again(scene)
    assert reasons(await scene.client.get(path)) == [OVER, ABSENT]


async def test_drift_is_reported_once_and_left_where_no_setting_repairs_it(scene: Scene) -> None:
    path = inside("block-storage", "left")
    await scene.client.made(path, VOLUME)
    thing = await in_cloud(scene, "left")
    await put_behind(scene, msgspec.structs.replace(thing, status={"sizeGB": 99}))
    found = await scene.client.until(path, lambda each: bool(reasons(each)))
    newest = found.json["status"]["conditions"][0]
    assert (newest["state"], newest["reason"]) == ("active", DIFFERS)
    assert newest["message"] == "the cloud differs in sizeGB"
    await compared_again(scene)
    assert reasons(await scene.client.get(path)) == [DIFFERS]
    assert (await in_cloud(scene, "left")).status == {"sizeGB": 99}
    await put_behind(scene, thing)
    over = await scene.client.until(path, lambda each: OVER in reasons(each))
    assert reasons(over) == [OVER, DIFFERS]


async def test_a_change_by_its_owner_is_no_drift(scene: Scene) -> None:
    path = inside("block-storage", "grows")
    await scene.client.made(path, VOLUME)
    await scene.site.misbehave(delay_s=0.3)
    for size in range(11, 17):
        larger: Json = {**VOLUME, "spec": VOLUME["spec"] | {"sizeGB": size}}
        shown = await scene.client.made(path, larger)
        assert reasons(shown) == []
    await scene.site.misbehave()


async def test_an_orphan_of_a_life_that_ended_is_removed_and_recorded(scene: Scene) -> None:
    path = inside("block-storage", "twice")
    await scene.client.made(path, VOLUME)
    orphan = await in_cloud(scene, "twice")
    await scene.client.delete(path)
    await scene.client.gone(path)
    await scene.client.made(path, VOLUME)
    second = await in_cloud(scene, "twice")
    await put_behind(scene, orphan)

    async def removed() -> bool:
        return orphan.uid not in await uids(scene)

    await until(removed, "the orphan is removed")
    assert second.uid in await uids(scene)
    entries = [each for each in await audited(scene) if each.type == "orphan-removed"]
    assert [each.path for each in entries] == [f"block-storage {orphan.path}"]
    assert orphan.uid in entries[0].reason
    assert await metric(scene, "orphans_removed_total") == 1


async def audited(scene: Scene) -> list[Entry]:
    async with connected(scene.plane.dev.nats("everything")) as nats:
        return [decode(each) async for each in AuditStream(nats, stream=STREAM).read()]


async def test_a_resource_that_the_log_never_knew_is_reported_and_left(scene: Scene) -> None:
    await scene.client.made(inside("block-storage", "known"), VOLUME)
    known = await in_cloud(scene, "known")
    strays = [
        msgspec.structs.replace(known, uid="stray-1"),
        msgspec.structs.replace(known, uid="stray-2", path="somewhere/else"),
    ]
    for stray in strays:
        await put_behind(scene, stray)

    async def reported() -> bool:
        return "2 resources that the log never knew" in await monitor(scene, "/readyz")

    await until(reported, "both are reported")
    assert await metric(scene, "cloud_unknown_resources") == 2
    assert await listed(scene) == [
        f"unknown block-storage {known.path} uid stray-1",
        "unknown block-storage somewhere/else uid stray-2",
    ]
    assert {"stray-1", "stray-2", known.uid} <= await uids(scene)
    for stray in strays:
        await scene.site.ask("DELETE", f"/behind/{stray.uid}")

    async def silent() -> bool:
        return "never knew" not in await monitor(scene, "/readyz")

    await until(silent, "the remark is over")
    assert await listed(scene) == []


async def listed(scene: Scene) -> list[str]:
    """The output of `secaplane drift list`."""
    process = scene.plane.dev.process("reconcilers")
    place = process.argv.index("reconcilers")
    argv = (*process.argv[:place], "drift", "list", *process.argv[place + 1 :])
    running = await asyncio.create_subprocess_exec(
        *argv, env={**os.environ, **process.environment}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode == 0
    return output.decode().splitlines()
