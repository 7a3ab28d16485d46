"""The rate of GETs while the reconcilers compare the cloud with the log, against the rate without.

Settled volumes are compared at a steady rate; for the runs without, the reconcilers are stopped.
"""

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import aiohttp
import msgspec

from secaplane.cli.settings import DriftSettings
from tests.bench.figures import Figure, figure
from tests.bench.http_figures import BODY, READS_IN_FLIGHT, settled
from tests.bench.load import Load, drive
from tests.plane import RunningPlane, config, running_plane

PER_S = 500.0
VOLUMES = 1000
PAIRS, RUN_S = 10, 2.0


async def measure() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="secaplane-bench-") as place:
        return await _measure(Path(place))


async def _measure(place: Path) -> dict[str, Figure]:
    settings = msgspec.structs.replace(config(place), drift=DriftSettings(per_second=PER_S))
    async with (
        running_plane(place, settings) as plane,
        aiohttp.ClientSession(headers=plane.headers) as session,
    ):
        await _put(session, plane.workspace("w1"), "{}")
        for begin in range(0, VOLUMES, 20):
            names = [f"v{n}" for n in range(begin, begin + 20)]
            await asyncio.gather(*(_put(session, plane.volume("w1", each), BODY) for each in names))
        await settled(plane)
        return await _pairs(plane, session)


async def _put(session: aiohttp.ClientSession, url: str, body: str) -> None:
    async with session.put(url, data=body) as answer:
        if answer.status not in (200, 201):
            raise RuntimeError(f"{url}: {answer.status} {await answer.text()}")


async def _pairs(plane: RunningPlane, session: aiohttp.ClientSession) -> dict[str, Figure]:
    path = plane.volume("w1", "v1").removeprefix(plane.dev.url)
    load = Load(plane.dev.url, path, "GET", plane.headers, "", READS_IN_FLIGHT, RUN_S)
    pid = plane.children.pid("reconcilers")
    ratios, rates = [], []
    for _ in range(PAIRS):
        before, loop = await _compared(plane, session), asyncio.get_running_loop()
        began = loop.time()
        with_scan = await asyncio.to_thread(drive, load)
        after = await _compared(plane, session)
        rates.append((after - before) / (loop.time() - began))
        os.kill(pid, signal.SIGSTOP)
        try:
            without = await asyncio.to_thread(drive, load)
        finally:
            os.kill(pid, signal.SIGCONT)
        ratios.append(with_scan.per_second / without.per_second)
    return {"drift_scan": figure(ratios, "ratio"), "drift_scan_per_second": figure(rates, "1/s")}


async def _compared(plane: RunningPlane, session: aiohttp.ClientSession) -> float:
    port = plane.dev.process("reconcilers").environment["SECAPLANE_MONITOR_PORT"]
    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = "secaplane_drift_comparisons_total "
    return next(float(line.split()[1]) for line in lines if line.startswith(name))
