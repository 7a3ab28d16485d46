"""Races between a new reference to a resource and its deletion: no referrer keeps a missing one."""

import asyncio
from collections import Counter

from tests.flows.client import Answer, Client, at

PAIRS = 40
HEAD_STARTS_S = (0.0, 0.001, 0.002, 0.004)
VOLUME = {"spec": {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd100"}}}


def booting(disk: str) -> dict[str, object]:
    spec = {"skuRef": {"resource": "skus/seca.dxs"}, "zone": "a"}
    return {"spec": spec | {"bootVolume": {"deviceRef": {"resource": f"block-storages/{disk}"}}}}


async def test_no_referrer_keeps_a_reference_to_a_deleted_resource(
    client: Client, workspace: str
) -> None:
    """The write that was recorded first stays; the other is refused, or reverted and refused."""
    await client.made(at("workspace", workspace), {})
    outcomes = await asyncio.gather(*(race(client, workspace, n) for n in range(PAIRS)))
    assert set(outcomes) <= {(201, 409), (422, 202), (409, 202)}, Counter(outcomes)
    for name in (await client.get(at("instance", workspace=workspace))).names:
        disk = at("block-storage", name.replace("vm", "disk"), workspace=workspace)
        assert (await client.get(disk)).status == 200


async def race(client: Client, workspace: str, n: int) -> tuple[int, int]:
    disk = at("block-storage", f"disk{n}", workspace=workspace)
    await client.made(disk, VOLUME)
    head_start_s = HEAD_STARTS_S[n // 2 % len(HEAD_STARTS_S)]
    waits = (head_start_s, 0.0) if n % 2 else (0.0, head_start_s)

    async def use() -> Answer:
        await asyncio.sleep(waits[0])
        referrer = at("instance", f"vm{n}", workspace=workspace)
        return await client.put(referrer, booting(f"disk{n}"))

    async def delete() -> Answer:
        await asyncio.sleep(waits[1])
        return await client.delete(disk)

    created, deleted = await asyncio.gather(use(), delete())
    return created.status, deleted.status


async def test_a_deletion_that_waits_for_a_referrer_completes_after_its_deletion(
    client: Client, workspace: str
) -> None:
    """In every outcome of the race, deleting the referrer lets both be deleted."""
    await client.made(at("workspace", workspace), {})
    await asyncio.gather(*(race(client, workspace, n) for n in range(8)))
    for n in range(8):
        await client.delete(at("instance", f"vm{n}", workspace=workspace))
        await client.delete(at("block-storage", f"disk{n}", workspace=workspace))
    for n in range(8):
        await client.gone(at("instance", f"vm{n}", workspace=workspace))
        await client.gone(at("block-storage", f"disk{n}", workspace=workspace))
