"""Sustained creation: how many of the accepted volumes are settled while clients go on, and the CPU
that one volume costs until it is active."""

import asyncio
import time

import aiohttp
import asyncpg

from tests.bench.figures import Figure, figure, table
from tests.bench.http_figures import BODY, SETTLE_S_MAX, bare, put, settled
from tests.bench.load import Load, drive
from tests.bench.processor_time import cpu_seconds, spent
from tests.plane import OWN, RunningPlane, running_plane

CLIENTS = 16
SUSTAINED_S, BARE_S, WARM_UP_S = 60.0, 5.0, 2.0
PARTS = (*OWN, "nats", "postgres")
SETTLED = """select count(*) from resources_1.resources
where kind = 'block-storage' and not unsettled and path like '%/s-%'"""


async def measure() -> dict[str, Figure]:
    async with (
        running_plane() as plane,
        aiohttp.ClientSession(headers=plane.headers) as session,
        bare(plane, "{}") as bare_url,
    ):
        for n in range(1, 9):
            await put(session, plane.workspace(f"w{n}"), "{}")
        await asyncio.to_thread(drive, _load(plane, "warm-{n}", WARM_UP_S))
        await settled(plane)
        bare_ms = await _bare_ms(plane, bare_url)
        return await _sustained(plane, bare_ms)


def _load(plane: RunningPlane, name: str, seconds: float) -> Load:
    volumes = "/providers/seca.storage/v1/tenants/bench/workspaces/w{w}/block-storages"
    return Load(plane.dev.url, f"{volumes}/{name}", "PUT", plane.headers, BODY, CLIENTS, seconds)


def _read(plane: RunningPlane, parts: tuple[str, ...]) -> dict[str, float]:
    return {name: cpu_seconds(plane.children.pid(name)) for name in parts}


async def _bare_ms(plane: RunningPlane, url: str) -> float:
    """CPU milliseconds of one PUT to a bare route that publishes and waits for the sync."""
    load = Load(url, "/publish/w{w}/b-{n}", "PUT", plane.headers, BODY, CLIENTS, BARE_S)
    before = _read(plane, ("bare", "nats"))
    answered = await asyncio.to_thread(drive, load)
    assert not answered.failed, answered
    took = spent(before, _read(plane, ("bare", "nats")))
    return 1000 * sum(took.values()) / (answered.per_second * BARE_S)


async def _sustained(plane: RunningPlane, bare_ms: float) -> dict[str, Figure]:
    connection = await asyncpg.connect(plane.dev.postgres("secaplane"))
    try:
        before, began = _read(plane, PARTS), time.perf_counter()
        answered = await asyncio.to_thread(drive, _load(plane, "s-{n}", SUSTAINED_S))
        assert not answered.failed, answered
        took_s = time.perf_counter() - began
        accepted = round(answered.per_second * SUSTAINED_S)
        active = await connection.fetchval(SETTLED)
        await settled(plane, SETTLE_S_MAX * 3)
        worked_off_s = time.perf_counter() - began - took_s
        all_active = await connection.fetchval(SETTLED)
        assert all_active == accepted, f"{all_active} of {accepted} volumes are active"
    finally:
        await connection.close()
    parts = {
        name: 1000 * seconds / accepted
        for name, seconds in spent(before, _read(plane, PARTS)).items()
    }
    per_volume = sum(parts.values())
    return {
        "sustained": figure([active / accepted], "ratio"),
        "accepted_per_second": figure([accepted / took_s], "1/s"),
        "settled_per_second": figure([active / took_s], "1/s"),
        "worked_off_s": figure([worked_off_s], "s"),
        "cpu_per_settled": figure([per_volume / bare_ms], "ratio"),
        "cpu_bare_ms": figure([bare_ms], "ms"),
        "cpu_volume_ms": figure([per_volume], "ms"),
        **{f"cpu_{name}_ms": figure([each], "ms") for name, each in parts.items()},
    }


async def main() -> None:
    print(table(await measure()))


if __name__ == "__main__":
    asyncio.run(main())
