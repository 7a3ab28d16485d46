"""Reads and writes over HTTP, against bare routes on the same servers."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import msgspec

from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import ChildProcess
from tests.bench.bare import Settings
from tests.bench.figures import Figure, figure
from tests.bench.load import Load, drive
from tests.plane import VOLUME, RunningPlane

REPEATS = 5
READ_S, WRITE_S = 3.0, 4.0
READS_IN_FLIGHT, WRITES_IN_FLIGHT = 16, 32
ALONE = 100
FEW, MANY = 5, 500
REST_S = 0.025
"""Pause between two single PUTs, in which the effects of the first one end."""
SETTLE_S_MAX = 120.0
BODY = msgspec.json.encode(VOLUME).decode()


@asynccontextmanager
async def bare(plane: RunningPlane, body: str) -> AsyncIterator[str]:
    """The bare routes in a process of their own; yields their URL."""
    dev, port = plane.dev, free_port()
    settings = Settings(port, dev.nats("everything"), dev.postgres("secaplane"), body)
    argv = (sys.executable, "-m", "tests.bench.bare", msgspec.json.encode(settings).decode())
    await plane.children.start(ChildProcess("bare", argv))
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        for _ in range(200):
            try:
                async with session.get(f"{url}/bytes/t/workspaces/w/block-storages/v"):
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    yield url


async def measure(plane: RunningPlane) -> dict[str, Figure]:
    async with aiohttp.ClientSession(headers=plane.headers) as session:
        await _furnish(plane, session)
        await settled(plane)
        async with session.get(plane.volume("w1", "one")) as answer:
            document = await answer.text()
        async with bare(plane, document) as url:
            figures = await _reads(plane, url)
            figures |= await _to_active(plane, session)
            figures |= await _alone(plane, session, url)
            figures |= await _crowded(plane, session)
            figures |= await _writes(plane, url)
    return figures


async def _furnish(plane: RunningPlane, session: aiohttp.ClientSession) -> None:
    for n in range(1, 9):
        await put(session, plane.workspace(f"w{n}"), "{}")
    await put(session, plane.volume("w1", "one"), BODY)


async def put(session: aiohttp.ClientSession, url: str, body: str) -> None:
    async with session.put(url, data=body) as answer:
        if answer.status not in (200, 201):
            raise RuntimeError(f"{url}: {answer.status} {await answer.text()}")


async def settled(plane: RunningPlane, seconds: float = SETTLE_S_MAX) -> None:
    """Waits until the reconcilers are idle, so that the next figure starts from rest."""
    async with asyncio.timeout(seconds):
        connection = await asyncpg.connect(plane.dev.postgres("secaplane"))
        try:
            unsettled = "select exists (select from resources_1.resources where unsettled)"
            while True:
                if not await connection.fetchval(unsettled):
                    return
                await asyncio.sleep(0.1)
        finally:
            await connection.close()


async def _reads(plane: RunningPlane, bare_url: str) -> dict[str, Figure]:
    path = "workspaces/w1/block-storages/one"
    tenant = "bench"
    loads = {
        "bytes": Load(bare_url, f"/bytes/{tenant}/{path}", "GET", {}, "", READS_IN_FLIGHT, READ_S),
        "select": Load(
            bare_url, f"/select/{tenant}/{path}", "GET", {}, "", READS_IN_FLIGHT, READ_S
        ),
        "ours": Load(
            plane.dev.url,
            f"/providers/seca.storage/v1/tenants/{tenant}/{path}",
            "GET",
            plane.headers,
            "",
            READS_IN_FLIGHT,
            READ_S,
        ),
    }
    ratios: dict[str, list[float]] = {"bytes": [], "select": []}
    ours = []
    for _ in range(REPEATS):
        rates = {name: (await asyncio.to_thread(drive, load)) for name, load in loads.items()}
        assert not any(rate.failed for rate in rates.values()), rates
        ours.append(rates["ours"].per_second)
        for name in ratios:
            ratios[name].append(rates["ours"].per_second / rates[name].per_second)
    return {
        "get_vs_bare": figure(ratios["bytes"], "ratio"),
        "get_vs_bare_select": figure(ratios["select"], "ratio"),
        "get_per_second": figure(ours, "1/s"),
    }


async def _writes(plane: RunningPlane, bare_url: str) -> dict[str, Figure]:
    ratios, ours = [], []
    for repeat in range(REPEATS):
        bare_load = Load(
            bare_url,
            f"/publish/w{{w}}/x{repeat}-{{n}}",
            "PUT",
            plane.headers,
            BODY,
            WRITES_IN_FLIGHT,
            WRITE_S,
        )
        volumes = "/providers/seca.storage/v1/tenants/bench/workspaces/w{w}/block-storages"
        path = f"{volumes}/x{repeat}-{{n}}"
        load = msgspec.structs.replace(bare_load, url=plane.dev.url, path=path)
        bare_rate = await asyncio.to_thread(drive, bare_load)
        rate = await asyncio.to_thread(drive, load)
        assert not bare_rate.failed, bare_rate
        assert not rate.failed, rate
        await settled(plane)
        ours.append(rate.per_second)
        ratios.append(rate.per_second / bare_rate.per_second)
    return {"put_vs_bare": figure(ratios, "ratio"), "put_per_second": figure(ours, "1/s")}


async def _alone(
    plane: RunningPlane, session: aiohttp.ClientSession, bare_url: str
) -> dict[str, Figure]:
    """Latency of one PUT after the other, with and without waiting for the projection."""
    nowait = await _nowait(plane)
    ratios: dict[str, list[float]] = {"put_latency_vs_bare": [], "put_latency_nowait_vs_bare": []}
    for repeat in range(REPEATS):
        theirs = await _median_s(session, f"{bare_url}/publish/alone/y{repeat}-{{n}}")
        for name, prefix, url in (
            ("put_latency_vs_bare", "waits", plane.dev.url),
            ("put_latency_nowait_vs_bare", "hurries", nowait),
        ):
            volume = plane.volume("w2", f"{prefix}{repeat}-{{n}}")
            ours = await _median_s(session, volume.replace(plane.dev.url, url))
            ratios[name].append(ours / theirs)
            await settled(plane)
    return {name: figure(values, "ratio") for name, values in ratios.items()}


async def _nowait(plane: RunningPlane) -> str:
    """Starts another `serve` on the same log and tables, which does not wait for the projection."""
    port = free_port()
    child = plane.dev.process("serve")
    environment = child.environment | {
        "SECAPLANE_HTTP_PORT": str(port),
        "SECAPLANE_WRITES_WAIT_FOR_PROJECTION": "false",
    }
    await plane.children.start(ChildProcess("nowait", child.argv, environment, announces=True))
    await plane.children.ready("nowait")
    return f"http://127.0.0.1:{port}"


async def _median_s(session: aiohttp.ClientSession, url: str) -> float:
    took = []
    for n in range(ALONE):
        await asyncio.sleep(REST_S)
        began = time.perf_counter()
        async with session.put(url.replace("{n}", str(n)), data=BODY) as answer:
            await answer.read()
            assert answer.status in (200, 201), await answer.text()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _crowded(plane: RunningPlane, session: aiohttp.ClientSession) -> dict[str, Figure]:
    """Updates existing resources, so that their number stays the same."""
    for workspace, number in (("w4", FEW), ("w5", MANY)):
        for n in range(number):
            await put(session, plane.volume(workspace, f"c{n}"), BODY)
    await settled(plane)
    ratios = []
    for _ in range(REPEATS):
        took: dict[str, list[float]] = {"w4": [], "w5": []}
        for n in range(ALONE):
            for workspace, times in took.items():
                await asyncio.sleep(REST_S)
                began = time.perf_counter()
                await put(session, plane.volume(workspace, f"c{n % FEW}"), BODY)
                times.append(time.perf_counter() - began)
        ratios.append(statistics.median(took["w5"]) / statistics.median(took["w4"]))
    return {"put_growth": figure(ratios, "ratio")}


async def _to_active(plane: RunningPlane, session: aiohttp.ClientSession) -> dict[str, Figure]:
    took = []
    for n in range(60):
        url = plane.volume("w3", f"z{n}")
        began = time.perf_counter()
        await put(session, url, BODY)
        while True:
            async with session.get(url) as answer:
                shown = await answer.json()
            if shown["status"]["state"] == "active":
                break
            await asyncio.sleep(0.001)
        took.append((time.perf_counter() - began) * 1000)
    return {"put_to_active_ms": figure(took, "ms")}
