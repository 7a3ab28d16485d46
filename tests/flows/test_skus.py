"""SKUs: shown under each tenant's own path, found by name and by alias, never listed by alias."""

import pytest

from secaplane.model.shape import Json
from tests.flows.client import Client, at


@pytest.mark.parametrize(
    ("kind", "name", "spec"),
    [
        ("storage-sku", "RD500", {"iops": 500, "type": "remote-durable"}),
        ("instance-sku", "DXS", {"vCPU": 1, "ram": 2}),
    ],
)
async def test_a_sku_is_shown_under_the_callers_own_tenant(
    client: Client, kind: str, name: str, spec: Json
) -> None:
    found = (await client.get(at(kind, name))).json
    assert set(found) == {"labels", "metadata", "spec"}
    assert spec.items() <= found["spec"].items()
    assert found["metadata"]["tenant"] == "demo"
    assert f"/tenants/demo/skus/{name}" in found["metadata"]["ref"]
    by_alias = await client.get(at(kind, f"seca.{name.lower()}"))
    assert (by_alias.status, by_alias.json) == (200, found)
    listed = (await client.get(at(kind))).json["items"]
    assert found in listed
    assert not any(item["metadata"]["name"].startswith("seca.") for item in listed)
    assert {item["metadata"]["tenant"] for item in listed} == {"demo"}


async def test_a_volume_may_name_its_sku_by_either_name(client: Client, workspace: str) -> None:
    await client.made(at("workspace", workspace), {})
    disk = at("block-storage", "disk", workspace=workspace)
    for name in ("seca.rd500", "RD500", "seca.rd500"):
        spec = {"sizeGB": 1, "skuRef": {"resource": f"skus/{name}"}}
        assert (await client.put(disk, {"spec": spec})).status in (200, 201)
        assert (await client.active(disk)).json["spec"] == spec
    other = {"sizeGB": 1, "skuRef": {"resource": "skus/RD100"}}
    assert (await client.put(disk, {"spec": other})).status == 422


async def test_an_unknown_sku_is_not_to_be_created(client: Client, workspace: str) -> None:
    await client.made(at("workspace", workspace), {})
    unknown = {"sizeGB": 1, "skuRef": {"resource": "skus/seca.none"}}
    path = at("block-storage", "disk", workspace=workspace)
    refusals = [
        await client.put(path, {"spec": unknown}),
        await client.get(at("storage-sku", "seca.none")),
        await client.get(at("region", "none")),
    ]
    assert [refusal.status for refusal in refusals] == [422, 404, 404]
    for refusal in refusals:
        assert "lists the existing ones" in refusal.json["detail"]
        assert "PUT" not in refusal.json["detail"]
