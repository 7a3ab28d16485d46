"""The test cloud as the plugin's tests use it: its plugin, and the eye that does not trust it."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import yaml

from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins import contract
from secaplane.plugins.openstack.plugin import OpenStackPlugin, from_settings
from secaplane.plugins.plugin import Bound, Fence, InProgress, Outcome

CLOUDS = "SECAPLANE_TEST_CLOUDS"
"""The environment variable with the path of the test cloud's clouds.yaml."""
EYE = Path(__file__).with_name("eye.py")
PYTHON = Path(__file__).parents[2] / ".venv-openstack/bin/python"
SETTLED_S_MAX = 120.0
OFFERS = Path(__file__).parents[2] / "examples/openstack_offers.toml"
GONE = """
[[storage-sku]]
name = "gone"
volume-type = "no-such-type"
spec = { iops = 500, type = "remote-durable", minVolumeSize = 1 }
"""
"""An entry that the cloud does not have."""


class CloudScene:
    def __init__(self, place: Path) -> None:
        self.clouds = Path(os.environ[CLOUDS])
        cloud = yaml.safe_load(self.clouds.read_text())["clouds"]["secaplane"]
        auth = cloud["auth"]
        password, offers = place / "password", place / "offers.toml"
        password.write_text(auth["password"])
        password.chmod(0o600)
        offers.write_text(OFFERS.read_text() + GONE)
        self.settings = {
            "auth_url": auth["auth_url"],
            "user": auth["username"],
            "user_domain": auth.get("user_domain_name") or "Default",
            "password_file": str(password),
            "domain": "seca",
            "region": cloud.get("region_name", ""),
            "catalogue": str(offers),
            "poll_s": "0.3",
        }
        self._numbers = count(1)
        self.plugin = self.connect()

    def connect(self) -> OpenStackPlugin:
        return from_settings(self.settings)

    def fence(self) -> Fence:
        return Fence(1, next(self._numbers))

    # --- resources

    def workspace(self) -> Resource:
        uid = uuid4().hex
        made = contract.sample("workspace", {}, uid)
        return msgspec.structs.replace(
            made, ref=Ref("workspace", f"tenants/acme/workspaces/w-{uid[:8]}")
        )

    def volume(self, workspace: Resource, **spec: Any) -> Resource:
        uid = uuid4().hex
        given = {"sizeGB": 1, "skuRef": {"resource": "skus/RD500"}} | spec
        made = contract.sample("block-storage", given, uid)
        path = f"{workspace.ref.path}/block-storages/v-{uid[:8]}"
        return msgspec.structs.replace(made, ref=Ref("block-storage", path))

    # --- calls, until they have an outcome

    async def ensured(self, resource: Resource, bound: Bound | None = None) -> Outcome:
        return await _finished(lambda: self.plugin.ensure(resource, bound or {}, self.fence()))

    async def removed(self, resource: Resource) -> Outcome:
        return await _finished(lambda: self.plugin.remove(resource, self.fence()))

    # --- the eye

    async def seen(self, command: str, *arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            *(str(PYTHON), str(EYE), str(self.clouds), command, *arguments),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    async def volumes_of(self, resource: Resource) -> list[Json]:
        volumes: list[Json] = await self.seen("volumes")
        return [each for each in volumes if each["name"] == f"seca-{resource.uid}"]


async def _finished(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    async with asyncio.timeout(SETTLED_S_MAX):
        while True:
            outcome = await call()
            if not isinstance(outcome, InProgress):
                return outcome
            await asyncio.sleep(outcome.requeue_after_s)
