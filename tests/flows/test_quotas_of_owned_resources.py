"""Quotas reached by owned resources: the nodes of a pool, the first administrators of a tenant."""

import pytest

from secaplane.cli.dev.plane import OPERATOR
from secaplane.model.shape import Json
from tests.flows.client import SKU, Answer, Client, at
from tests.flows.crashing import Scene
from tests.flows.problems import refused
from tests.flows.tenant_setup import put_tenant
from tests.positions import STREAM

POOL: Json = {
    "instances": 1,
    "nodeTemplate": {
        "skuRef": {"resource": "skus/seca.dxs"},
        "subnetRef": {"resource": "networks/net/subnets/sub"},
        "zone": "a",
        "rootVolume": {"skuRef": SKU, "sizeGB": 20},
    },
}


@pytest.fixture
def operator(scene: Scene) -> Client:
    return scene.client.by(scene.plane.dev.token(OPERATOR))


def state_and_reason(answer: Answer) -> tuple[str, str]:
    newest = answer.json["status"]["conditions"][0]
    return answer.state, newest.get("reason", "")


async def test_a_pool_whose_nodes_exceed_a_quota_reports_an_error_and_settles(
    scene: Scene, operator: Client
) -> None:
    client, ids = scene.client, {"tenant": "pools", "workspace": "w"}
    await put_tenant(operator, "pools", {"cores": 2, "volumeGB": 1000})
    await client.made(at("workspace", "w", tenant="pools"), {"spec": {}})
    network = {"cidr": {"ipv4": "10.0.0.0/16"}, "skuRef": {"resource": "skus/seca.n1k"}}
    await client.made(at("network", "net", **ids), {"spec": network})
    gateway = at("internet-gateway", "out", **ids)
    await client.made(gateway, {"spec": {"egressOnly": False}})
    route = {"destinationCidrBlock": "0.0.0.0/0"}
    table: Json = {"routes": [route | {"targetRef": {"resource": "internet-gateways/out"}}]}
    await client.made(at("routing-table", "routes", network="net", **ids), {"spec": table})
    subnet = {"cidr": {"ipv4": "10.0.1.0/24"}, "zone": "a"}
    subnet["routeTableRef"] = {"resource": "route-tables/routes"}
    await client.made(at("subnet", "sub", network="net", **ids), {"spec": subnet})
    cluster = {"spec": {"skuRef": {"resource": "skus/seca.k8s-1-34-shared"}}}
    await client.made(at("kubernetes-cluster", "k8s", **ids), cluster)
    pool = at("kubernetes-node-pool", "pool", cluster="k8s", **ids)
    cores = (await client.get(at("instance-sku", "seca.dxs", tenant="pools"))).json["spec"]["vCPU"]
    await put_tenant(operator, "pools", {"cores": 2 * cores})
    await client.made(pool, {"spec": POOL})
    assert (await client.put(pool, {"spec": POOL | {"instances": 5}})).status == 200
    await scene.at_rest()
    assert state_and_reason(await client.get(pool)) == ("error", "QuotaExceeded")
    assert len((await client.get(at("instance", **ids))).names) == 2
    await scene.at_rest()
    before = await scene.log.end(STREAM)
    await client.get(pool)
    assert await scene.log.end(STREAM) == before
    await put_tenant(operator, "pools", {"cores": 3 * cores})
    await client.made(pool, {"spec": POOL | {"instances": 3}})
    assert len((await client.get(pool)).json["status"]["nodes"]) == 3
    await put_tenant(operator, "pools", {"cores": 0})
    await client.made(pool, {"spec": POOL})
    assert len((await client.get(at("instance", **ids))).names) == 1


async def test_a_tenant_whose_quota_excludes_its_administrators_reports_an_error(
    scene: Scene, operator: Client
) -> None:
    path = at("tenant", "barren")
    quotas = {"resources": {"role-assignment": 0}}
    spec: Json = {"administrators": ["admin@example.org"], "quotas": quotas}
    assert refused(await operator.put(path, {"spec": spec}), 409) == []
    await scene.at_rest()
    assert state_and_reason(await operator.get(path)) == ("error", "QuotaExceeded")
    await put_tenant(operator, "barren", {"resources": {"role-assignment": 1}})
    await operator.active(path)
    assignments = at("role-assignment", tenant="barren")
    listed = await scene.client.until(assignments, lambda answer: answer.status == 200)
    assert listed.names == ["administrators"]
