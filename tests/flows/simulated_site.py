"""A running simulated cloud for tests, and small resources to ask it for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from model.shape import Json, Position, Power, PowerState, Ref, Resource
from plugins import Plugin, Settled
from plugins.simulated import Simulated, server
from plugins.simulated.wire import Counts, Faults, Thing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SMALL: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/seca.rd100"}}
LARGE: Json = SMALL | {"sizeGB": 20}
IN_ZONE_A: Json = {
    "skuRef": {"resource": "tenants/seca/skus/seca.ds"},
    "zone": "a",
    "bootVolume": {"deviceRef": {"resource": "block-storages/d"}, "type": "virtio"},
}
OFF, ON = Settled({"powerState": "off"}), Settled({"powerState": "on"})


class Site:
    """One running cloud: the plugin that drives it, and what a test may ask it besides."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.plugin: Plugin = Simulated(self.url)

    async def misbehave(self, **faults: Any) -> None:
        await self.ask("PUT", "/faults", faults)

    async def faults(self) -> Faults:
        return msgspec.json.decode(await self.ask("GET", "/faults"), type=Faults)

    async def counts(self) -> Counts:
        return msgspec.json.decode(await self.ask("GET", "/counts"), type=Counts)

    async def things(self) -> list[Thing]:
        return msgspec.json.decode(await self.ask("GET", "/things"), type=list[Thing])

    async def addresses(self) -> set[str]:
        return {thing.allotted["address"] for thing in await self.things()}

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.request(method, self.url + path, json=body) as response,
        ):
            return await response.read()


@asynccontextmanager
async def running(file: Path, **more: Any) -> AsyncIterator[Site]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        cloud = group.create_task(serve(file, announce=port.set_result, **more))
        site = Site(await port)
        yield site
        await site.plugin.close()
        cloud.cancel()


async def serve(file: Path, **more: Any) -> None:
    usual: dict[str, Any] = {"catalogue": None, "faults": None, "announce": lambda port: None}
    await server.run(host="127.0.0.1", port=0, file=file, region="eu-1", **(usual | more))


def a(kind: str, spec: Json, *, uid: str = "u1", power: PowerState = "off") -> Resource:
    ref = Ref(kind, f"tenants/t/workspaces/w/{kind}s/{uid}")
    here = Position(1)
    return Resource(
        ref=ref, uid=uid, spec=spec, power=Power(intended=power), version=1, position=here,
        time=NOON, life=here, created_at=NOON, modified_at=NOON, intended=here,
    )  # fmt: skip
