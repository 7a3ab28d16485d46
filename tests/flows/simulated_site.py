"""A running simulated cloud for tests, and small resources for it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from secaplane.model.position import Position
from secaplane.model.shape import Json, Power, PowerState, Ref, Resource
from secaplane.plugins.plugin import Outcome, Plugin, Ready
from secaplane.plugins.simulated import SimulatedPlugin, server
from secaplane.plugins.simulated.wire import ChangeCounts, CloudObject, Faults
from secaplane.reconcilers.fences import FenceSource
from tests.positions import nth

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SMALL: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/seca.rd100"}}
LARGE: Json = SMALL | {"sizeGB": 20}
IN_ZONE_A: Json = {
    "skuRef": {"resource": "tenants/seca/skus/seca.ds"},
    "zone": "a",
    "bootVolume": {"deviceRef": {"resource": "block-storages/d"}, "type": "virtio"},
}
PUBLIC_IP: Json = {"version": "IPv4"}
NETWORK: Json = {"cidr": {"ipv4": "0.0.0.0/16"}, "skuRef": {"resource": "skus/seca.n1k"}}
SUBNET: Json = {
    "cidr": {"ipv4": "0.0.0.0/24"},
    "zone": "a",
    "routeTableRef": {"resource": "route-tables/r"},
}
NIC: Json = {"subnetRef": {"resource": "networks/n/subnets/s"}, "addresses": ["0.0.0.0"]}
BALANCER: Json = {
    "nicRef": {"resource": "nics/front"},
    "frontends": [{"protocol": "tcp", "port": 80, "target": {"members": [{"resource": "nics/n"}]}}],
}
WHOLE: dict[str, Json] = {
    "block-storage": SMALL,
    "image": {
        "blockStorageRef": {"resource": "workspaces/w/block-storages/v"},
        "cpuArchitecture": "amd64",
    },
    "instance": IN_ZONE_A,
    "kubernetes-cluster": {"skuRef": {"resource": "skus/seca.k8s-1-33-shared"}},
    "kubernetes-node-pool": {
        "instances": 1,
        "nodeTemplate": {
            "skuRef": {"resource": "skus/seca.ds"},
            "subnetRef": {"resource": "networks/n/subnets/s"},
            "zone": "a",
            "rootVolume": {"skuRef": {"resource": "skus/seca.rd100"}, "sizeGB": 20},
        },
    },
    "nat-gateway-instance": {
        "nicRef": {"resource": "nics/n"},
        "publicIpRef": {"resource": "public-ips/p"},
        "zone": "a",
    },
    "network": NETWORK | {"additionalCidrs": [{"ipv4": "0.0.0.0/24", "ipv6": "::/56"}]},
    "network-load-balancer": BALANCER,
    "nic": NIC | {"addresses": ["10.0.0.9", "fd00::9"]},
    "public-ip": PUBLIC_IP,
    "routing-table": {
        "routes": [
            {"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": "instances/i"}},
            {"destinationCidrBlock": "10.9.0.0/16", "targetRef": {"resource": "10.0.0.9"}},
        ]
    },
    "security-group": {
        "rules": [{"direction": "ingress"}],
        "ruleRefs": [{"resource": "security-group-rules/r"}],
    },
    "security-group-rule": {"direction": "egress"},
    "subnet": SUBNET,
}
"""A spec for each kind whose spec cannot be empty."""
OFF, ON = Ready({"powerState": "off"}), Ready({"powerState": "on"})


TOKEN = "the token of a cloud in tests"
EPOCHS = count(1)
"""Each plugin is a process that starts later than the former."""


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Site:
    """A running cloud: its plugin, and the requests of tests."""

    def __init__(self, port: int, token: str = TOKEN) -> None:
        self.url, self.token = f"http://127.0.0.1:{port}", token
        self.plugin: Plugin = SimulatedPlugin(self.url, token)
        self.fences = FenceSource(next(EPOCHS))

    async def ensure(self, resource: Resource, **bound: Resource) -> Outcome:
        return await self.plugin.ensure(resource, bound, self.fences.next())

    async def act(
        self, resource: Resource, action: str, key: Position, **bound: Resource
    ) -> Outcome:
        return await self.plugin.act(resource, bound, action, key, self.fences.next())

    async def remove(self, resource: Resource) -> Outcome:
        return await self.plugin.remove(resource, self.fences.next())

    async def misbehave(self, **faults: Any) -> None:
        await self.ask("PUT", "/faults", faults)

    async def faults(self) -> Faults:
        return msgspec.json.decode(await self.ask("GET", "/faults"), type=Faults)

    async def counts(self) -> ChangeCounts:
        return msgspec.json.decode(await self.ask("GET", "/counts"), type=ChangeCounts)

    async def things(self) -> list[CloudObject]:
        return msgspec.json.decode(await self.ask("GET", "/things"), type=list[CloudObject])

    async def first_things(self) -> list[CloudObject]:
        """The things, as soon as there are any."""
        for _ in range(1000):
            if things := await self.things():
                return things
            await asyncio.sleep(0.01)
        raise TimeoutError("nothing was made")

    async def public_addresses(self) -> list[str]:
        return [thing.status["ipAddress"] for thing in await self.things()]

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        async with (
            aiohttp.ClientSession(raise_for_status=True, headers=authorized(self.token)) as session,
            session.request(method, self.url + path, json=body) as response,
        ):
            return await response.read()


@asynccontextmanager
async def process(file: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Site]]:
    """A cloud in a process of its own, for tests that kill it."""
    start = (
        "import asyncio, sys; from pathlib import Path;"
        "from secaplane.plugins.simulated.server import run;"
        "asyncio.run(run(host='127.0.0.1', port=0, file=Path(sys.argv[1]), catalogue=None,"
        f" region='eu-1', faults=None, token='{TOKEN}',"
        " announce=lambda port: print(port, flush=True)))"
    )
    cloud = await asyncio.create_subprocess_exec(
        sys.executable, "-c", start, str(file), stdout=asyncio.subprocess.PIPE
    )
    assert cloud.stdout is not None
    async with asyncio.timeout(20):
        site = Site(int(await cloud.stdout.readline()))
        yield cloud, site
        await site.plugin.close()


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
    usual: dict[str, Any] = {
        "host": "127.0.0.1",
        "catalogue": None,
        "faults": None,
        "token": TOKEN,
        "announce": lambda port: None,
    }
    await server.run(port=0, file=file, region="eu-1", **(usual | more))


def a(kind: str, spec: Json, *, uid: str = "u1", power: PowerState = "off") -> Resource:
    ref = Ref(kind, f"tenants/t/workspaces/w/{kind}s/{uid}")
    here = nth(1)
    return Resource(
        ref=ref, uid=uid, spec=spec, power=Power(desired=power), version=1, position=here,
        time=NOON, life=here, created_at=NOON, modified_at=NOON, last_intent=here,
    )  # fmt: skip
