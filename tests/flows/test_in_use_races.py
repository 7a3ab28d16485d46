"""Who comes to use a thing while it is being deleted: nobody is left with what is gone."""

import asyncio
from collections import Counter

from tests.flows.client import Answer, Client, at

PAIRS = 40
HEAD_STARTS_S = (0.0, 0.001, 0.002, 0.004)
VOLUME = {"spec": {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd100"}}}


def booting(disk: str) -> dict[str, object]:
    spec = {"skuRef": {"resource": "skus/seca.dxs"}, "zone": "a"}
    return {"spec": spec | {"bootVolume": {"deviceRef": {"resource": f"block-storages/{disk}"}}}}


async def test_nobody_is_left_with_what_is_gone(client: Client, workspace: str) -> None:
    """Both may be accepted, if the user was recorded first; then the used one waits for it."""
    await client.made(at("workspace", workspace), {})
    outcomes = await asyncio.gather(*(race(client, workspace, n) for n in range(PAIRS)))
    assert set(outcomes) <= {(201, 409), (422, 202), (201, 202)}, Counter(outcomes)
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
        user = at("instance", f"vm{n}", workspace=workspace)
        return await client.put(user, booting(f"disk{n}"))

    async def delete() -> Answer:
        await asyncio.sleep(waits[1])
        return await client.delete(disk)

    used, deleted = await asyncio.gather(use(), delete())
    return used.status, deleted.status


async def test_what_waits_for_its_user_goes_when_that_goes(client: Client, workspace: str) -> None:
    """However the race above ended, deleting the user ends it."""
    await client.made(at("workspace", workspace), {})
    await asyncio.gather(*(race(client, workspace, n) for n in range(8)))
    for n in range(8):
        await client.delete(at("instance", f"vm{n}", workspace=workspace))
        await client.delete(at("block-storage", f"disk{n}", workspace=workspace))
    for n in range(8):
        await client.gone(at("instance", f"vm{n}", workspace=workspace))
        await client.gone(at("block-storage", f"disk{n}", workspace=workspace))
