"""A control plane whose keys of events are wrapped by an HSM, here a software one."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from secaplane.cli.config import Config
from secaplane.cli.processes.keys import key_store
from secaplane.sealing.keys.key_store import StoredKey
from tests.flows.client import VOLUME, at
from tests.flows.crashing import Scene, scene_of, until
from tests.plane import RunningPlane, shared_plane
from tests.servers import connected
from tests.soft_hsm import hsm_settings

COMMAND_S_MAX = 60


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlane]:
    with pytest.MonkeyPatch.context() as environment:
        keys = hsm_settings(tmp_path_factory.mktemp("hsm"), environment)
        for name in ("hsm_module", "hsm_token", "hsm_key", "hsm_pin_file"):
            environment.setenv(f"SECAPLANE_KEYS_{name.upper()}", getattr(keys, name))
        argv = (sys.executable, "-m", "secaplane.cli.main", "keys", "generate")
        subprocess.run(argv, check=True, timeout=COMMAND_S_MAX, capture_output=True)
        with shared_plane(Config(keys=keys)) as made:
            yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        yield made


async def test_every_key_is_wrapped_by_the_hsm_and_killed_processes_unwrap_them_again(
    scene: Scene,
) -> None:
    client, path = scene.client, at("block-storage", "disk", workspace="one")
    assert (await client.put(at("workspace", "one"), {"spec": {}})).status == 201
    assert (await client.put(path, VOLUME)).status == 201

    async def active() -> bool:
        answer = await client.get(path)
        return answer.status == 200 and answer.state == "active"

    await until(active, "the volume is active")
    config = scene.plane.dev.config
    async with connected(scene.plane.dev.nats("everything")) as nats:
        store = key_store(config, nats)
        keys = [await store.read(name) for name in await store.names()]
    wrapped = [each.wrapped for each in keys if isinstance(each, StoredKey)]
    assert len(wrapped) == len(keys) >= 2
    assert all(each.startswith("hsm:kek-1:") for each in wrapped), wrapped
    for name in ("serve", "projector", "reconcilers"):
        await scene.kill(name)
    changed = VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": 20}}

    async def accepted() -> bool:
        return (await client.put(path, changed)).status == 200

    await until(accepted, "the volume is changed")

    async def grown() -> bool:
        answer = await client.get(path)
        return answer.state == "active" and answer.json["status"].get("sizeGB") == 20

    await until(grown, "the volume has grown")
