"""Whole requests on a real OpenStack (`make test-openstack`): what SECA says and what the cloud has
agree, also where the reconcilers are killed in between."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from secaplane.cli.config import Config
from tests.openstack.scene import CLOUDS, CloudScene
from tests.plane import TENANT, RunningPlane, running_plane

pytestmark = pytest.mark.skipif(CLOUDS not in os.environ, reason="make test-openstack starts it")
SETTLED_S_MAX = 180.0
VOLUMES, KILLS = 8, 6


class Life:
    """A control plane over the test cloud, and its client."""

    def __init__(
        self, scene: CloudScene, plane: RunningPlane, session: aiohttp.ClientSession
    ) -> None:
        self.scene, self.plane, self.session = scene, plane, session

    async def put(self, url: str, **spec: object) -> None:
        async with self.session.put(url, json={"spec": spec}) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def delete(self, url: str) -> None:
        async with self.session.delete(url) as answer:
            assert answer.status == 202, await answer.text()

    async def state(self, url: str) -> str | None:
        async with self.session.get(url) as answer:
            if answer.status == 404:
                return None
            return str((await answer.json())["status"]["state"])

    async def until(self, url: str, state: str | None) -> None:
        deadline = time.monotonic() + SETTLED_S_MAX
        while (seen := await self.state(url)) != state:
            assert time.monotonic() < deadline, f"{url} is {seen}, not {state}"
            await asyncio.sleep(0.1)

    async def sizes(self) -> list[int]:
        """Of every volume of ours in the cloud that stays."""
        volumes = await self.scene.seen("volumes")
        return sorted(
            each["size"]
            for each in volumes
            if f"tenants/{TENANT}/" in each["metadata"].get("seca-path-0", "")
            and each["status"] != "deleting"
        )


@asynccontextmanager
async def living(place: Path) -> AsyncIterator[Life]:
    scene = CloudScene(place)
    cloud = {"plugin": "openstack", "settings": scene.settings}
    settings = {"dev": {"tenant": TENANT}, "cloud": cloud}
    async with (
        running_plane(settings=msgspec.convert(settings, Config)) as plane,
        aiohttp.ClientSession(headers=plane.headers) as session,
    ):
        yield Life(scene, plane, session)
    await scene.plugin.close()


async def test_a_volume_lives_in_the_cloud_as_secaplane_shows_it(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        workspace, volume = life.plane.workspace("w1"), life.plane.volume("w1", "one")
        await life.put(workspace)
        await life.put(volume, sizeGB=1, skuRef={"resource": "skus/RD500"})
        await life.until(volume, "active")
        assert await life.sizes() == [1]
        await life.put(volume, sizeGB=2, skuRef={"resource": "skus/RD500"})
        await life.until(volume, "active")
        assert await life.sizes() == [2]
        await life.delete(volume)
        await life.until(volume, None)
        assert await life.sizes() == []
        await life.delete(workspace)
        await life.until(workspace, None)


async def test_killed_reconcilers_leave_no_orphan_and_no_twin(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        await life.put(life.plane.workspace("w1"))
        urls = [life.plane.volume("w1", f"v{n}") for n in range(VOLUMES)]
        killing = asyncio.create_task(_kills(life.plane))
        for url in urls:
            await life.put(url, sizeGB=1, skuRef={"resource": "skus/RD500"})
        await killing
        for url in urls:
            await life.until(url, "active")
        assert await life.sizes() == [1] * VOLUMES
        killing = asyncio.create_task(_kills(life.plane))
        for url in urls:
            await life.delete(url)
        await killing
        for url in urls:
            await life.until(url, None)
        assert await life.sizes() == []
        await life.delete(life.plane.workspace("w1"))
        await life.until(life.plane.workspace("w1"), None)


async def _kills(plane: RunningPlane) -> None:
    """The supervisor starts the reconcilers again."""
    chance = random.Random(13)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        with suppress(ProcessLookupError):  # it is being started again
            os.kill(plane.children.pid("reconcilers"), signal.SIGKILL)
