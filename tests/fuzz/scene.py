"""Resources that exist before the fuzzing begins, so that generated requests can refer to them, and
valid values for references, zones and addresses in generated bodies."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from secaplane.kinds import KINDS
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Json

IDS = {"tenant": "demo", "workspace": "fuzz", "network": "one", "cluster": "one"}
ONE = "one"
ACTIVE_S_MAX, POLL_S = 10.0, 0.1
CIDRS = [{"ipv4": "10.0.1.0/24"}, {"ipv4": "10.0.2.0/24"}, {"ipv4": "0.0.0.0/24"}]
MORE: Mapping[str, Mapping[str, list[Any]]] = {
    "role": {"/permissions/*/provider": ["seca.storage/v1", "seca.compute"]},
    "role-assignment": {
        "/roles/*": ["seca.workspace-viewer", ONE],
        "/scopes/*": [{}, {"workspaces": ["fuzz"]}, {"tenants": ["demo"], "regions": ["eu-1"]}],
    },
    "subnet": {"/cidr": CIDRS},
    "network": {
        "/cidr": [{"ipv4": "10.0.0.0/16"}],
        "/additionalCidrs/*": [{"ipv4": "10.9.0.0/16"}],
    },
    "nic": {"/addresses/*": ["0.0.0.0", "10.0.0.7"]},
    "kubernetes-node-pool": {"/instances": [1, 2]},
}
"""Kind -> pointer in the spec -> valid values, besides references and zones."""


@asynccontextmanager
async def creator(url: str, token: str) -> AsyncIterator["Creator"]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        yield Creator(session)


class Creator:
    """Creates the resources."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def names_of_skus(self) -> Mapping[str, str]:
        """Kind of the catalogue -> name of one of its SKUs."""
        names = {}
        for kind in KINDS.values():
            if kind.backing is Backing.CATALOGUE and kind.scope:
                async with self._session.get(kind.url.format_map(IDS)) as answer:
                    items = (await answer.json())["items"]
                if items:
                    names[kind.name] = str(items[0]["metadata"]["name"])
        return names

    async def resources(self, skus: Mapping[str, str]) -> list[str]:
        """Create one resource of each kind that others refer to; the kinds that failed."""
        await self._create(KINDS["workspace"], {}, name=IDS["workspace"])
        return [
            name for name, spec in specs(skus).items() if not await self._create(KINDS[name], spec)
        ]

    async def _create(self, kind: Kind, spec: Json, name: str = ONE) -> bool:
        path = f"{kind.url.format_map(IDS)}/{name}"
        async with self._session.put(path, json={"spec": spec}) as answer:
            if answer.status not in (200, 201):
                return False
        try:
            async with asyncio.timeout(ACTIVE_S_MAX):
                while True:
                    async with self._session.get(path) as answer:
                        if (await answer.json())["status"]["state"] == "active":
                            return True
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False


def specs(skus: Mapping[str, str]) -> dict[str, Json]:
    """Kind -> spec, in an order in which they can be created."""
    sku = {kind: _to(f"skus/{name}") for kind, name in skus.items()}
    rule = {"direction": "ingress", "protocol": "tcp", "ports": {"list": [80]}}
    permission = {"provider": "seca.storage/v1", "resources": ["*"], "verb": ["get"]}
    volume, gateway = _to("workspaces/fuzz/block-storages/one"), _to("internet-gateways/one")
    return {
        "block-storage": {"sizeGB": 10, "skuRef": sku["storage-sku"]},
        "image": {"blockStorageRef": volume, "cpuArchitecture": "amd64"},
        "network": {"cidr": {"ipv4": "10.0.0.0/16"}, "skuRef": sku["network-sku"]},
        "internet-gateway": {},
        "routing-table": {"routes": [{"destinationCidrBlock": "0.0.0.0/0", "targetRef": gateway}]},
        "subnet": {
            "cidr": {"ipv4": "10.0.0.0/24"},
            "zone": "a",
            "routeTableRef": _to("networks/one/route-tables/one"),
        },
        "public-ip": {"version": "IPv4"},
        "security-group-rule": rule,
        "security-group": {"rules": [rule]},
        "nic": {"addresses": ["0.0.0.0"], "subnetRef": _to("networks/one/subnets/one")},
        "instance": {
            "skuRef": sku["instance-sku"],
            "zone": "a",
            "bootVolume": {"deviceRef": volume},
        },
        "kubernetes-cluster": {"skuRef": sku["kubernetes-cluster-sku"]},
        "object-storage-account": {},
        "role": {"permissions": [permission]},
    }


def _to(resource: str) -> Json:
    return {"resource": resource}


def targets(skus: Mapping[str, str]) -> Json:
    """URL path of a kind's items -> pointer in the spec -> valid values."""
    return {
        f"{url}/{{name}}": _targets_of(kind, skus)
        for kind in KINDS.values()
        if kind.writable
        for url in kind.urls
    }


def _targets_of(kind: Kind, skus: Mapping[str, str]) -> Json:
    values: dict[str, list[Any]] = {zone: ["a"] for zone in kind.rules.zones}
    for link in kind.links:
        values.setdefault(link.at, []).extend(
            _to(target) for name in link.to for target in _references(KINDS[name], skus)
        )
    return {**values, **MORE.get(kind.name, {})}


def _references(kind: Kind, skus: Mapping[str, str]) -> Iterator[str]:
    if kind.backing is Backing.CATALOGUE:
        if kind.name in skus:
            yield f"skus/{skus[kind.name]}"
    elif kind.scope:
        yield kind.ref(IDS, ONE).path.removeprefix("tenants/demo/")
