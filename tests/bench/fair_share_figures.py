"""Fair shares: how long one tenant waits for a volume while another one deletes thousands."""

import asyncio
import math
import time

import aiohttp
import asyncpg
import msgspec

from secaplane.cli.dev.plane import OPERATOR
from tests.bench.figures import Figure, figure, table
from tests.bench.http_figures import BODY, SETTLE_S_MAX, put, settled
from tests.plane import TENANT, RunningPlane, running_plane

NEIGHBOUR, WORKSPACES = "neighbour", 8
VOLUMES, SAMPLES, CLIENTS = 4000, 60, 16
PAUSE_S = 0.02
LEFT = """select exists (select from resources_1.resources
where kind = 'block-storage' and not gone and path like '%/d-%')"""


async def measure() -> dict[str, Figure]:
    async with (
        running_plane() as plane,
        aiohttp.ClientSession(headers=plane.headers) as session,
    ):
        await _furnish(plane, session)
        alone = [await _to_active_s(plane, session, f"alone-{n}") for n in range(SAMPLES)]
        await _create(plane, session)
        await settled(plane, SETTLE_S_MAX * 2)
        deleting = asyncio.create_task(_delete_all(plane))
        beside = list[float]()
        while not deleting.done() or len(beside) < SAMPLES:
            beside.append(await _to_active_s(plane, session, f"beside-{len(beside)}"))
        await deleting
    ratio = _p99(beside) / _p99(alone)
    return {
        "fair_share": figure([ratio], "ratio"),
        "alone_to_active_ms": figure([1000 * each for each in alone], "ms"),
        "beside_to_active_ms": figure([1000 * each for each in beside], "ms"),
    }


def _p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _own(plane: RunningPlane, path: str) -> str:
    return plane.volume("w1", path).replace(f"tenants/{TENANT}/", f"tenants/{NEIGHBOUR}/")


async def _furnish(plane: RunningPlane, session: aiohttp.ClientSession) -> None:
    """A second tenant with the same administrator, and workspaces in both."""
    body = msgspec.json.encode({"spec": {"administrators": [plane.dev.config.dev.administrator]}})
    url = f"{plane.dev.url}/providers/secaplane.admin/v1/tenants/{NEIGHBOUR}"
    headers = {"Authorization": f"Bearer {plane.dev.token(OPERATOR)}"}
    async with session.put(url, data=body, headers=headers) as answer:
        assert answer.status in (200, 201), await answer.text()
    for n in range(1, WORKSPACES + 1):
        await put(session, plane.workspace(f"w{n}"), "{}")
    await put(session, plane.workspace("w1").replace(f"/{TENANT}/", f"/{NEIGHBOUR}/"), "{}")
    await settled(plane)


async def _to_active_s(plane: RunningPlane, session: aiohttp.ClientSession, name: str) -> float:
    url, began = _own(plane, name), time.perf_counter()
    await put(session, url, BODY)
    while True:
        async with session.get(url) as answer:
            if (await answer.json())["status"]["state"] == "active":
                break
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    await asyncio.sleep(PAUSE_S)
    return took


async def _create(plane: RunningPlane, session: aiohttp.ClientSession) -> None:
    names = iter(range(VOLUMES))

    async def client() -> None:
        for n in names:
            await put(session, plane.volume(f"w{n % WORKSPACES + 1}", f"d-{n}"), BODY)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())


async def _delete_all(plane: RunningPlane) -> None:
    """Requests all deletions, and returns when all are done."""
    async with aiohttp.ClientSession(headers=plane.headers) as session:
        names = iter(range(VOLUMES))

        async def client() -> None:
            for n in names:
                url = plane.volume(f"w{n % WORKSPACES + 1}", f"d-{n}")
                async with session.delete(url) as answer:
                    assert answer.status == 202, await answer.text()

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
    await _deleted(plane)


async def _deleted(plane: RunningPlane) -> None:
    async with asyncio.timeout(SETTLE_S_MAX * 2):
        connection = await asyncpg.connect(plane.dev.postgres("secaplane"))
        try:
            while True:
                if not await connection.fetchval(LEFT):
                    return
                await asyncio.sleep(0.25)
        finally:
            await connection.close()


async def main() -> None:
    print(table(await measure()))


if __name__ == "__main__":
    asyncio.run(main())
