"""The price of readers that are added: what a second replica's GETs cost everything outside it."""

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from tests.bench.figures import Figure, figure
from tests.bench.load import Load, drive
from tests.plane import TENANT, VOLUME, RunningPlane, running_plane
from tests.replicas import SecondReplica, second_replica

REPEATS = 3
READ_S, READS_IN_FLIGHT = 10.0, 16
REST_S = 3.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
INSIDE = ("postgres-b", "projector-b", "query-b")
PATH = f"/providers/seca.storage/v1/tenants/{TENANT}/workspaces/w/block-storages/one"


async def measure() -> dict[str, Figure]:
    async with running_plane() as plane, second_replica(plane) as replica:
        async with aiohttp.ClientSession(headers=plane.headers) as session:
            volume = msgspec.json.encode(VOLUME)
            for url, body in ((plane.workspace("w"), b"{}"), (plane.volume("w", "one"), volume)):
                async with session.put(url, data=body) as answer:
                    assert answer.status == 201, await answer.text()
        await asyncio.sleep(REST_S)
        ratios = [await _once(plane, replica) for _ in range(REPEATS)]
        return {"reader_cost": figure(ratios, "ratio")}


async def _once(plane: RunningPlane, replica: SecondReplica) -> float:
    """CPU outside the replica for the GETs that it serves / CPU of its own parts for them, each
    without what it takes in the same time at rest."""
    parts = _parts(plane, replica)
    idle = await _spent(parts, asyncio.sleep(READ_S))
    load = Load(replica.url, PATH, "GET", plane.headers, "", READS_IN_FLIGHT, READ_S)
    rates = []

    async def read() -> None:
        rates.append(await asyncio.to_thread(drive, load))

    busy = await _spent(parts, read())
    assert not rates[0].failed, rates
    gets = rates[0].per_second * READ_S
    cost = {name: (busy[name] - idle[name]) / gets * 1000 for name in parts}
    print(f"reader_cost: CPU seconds for each 1,000 GETs: {cost}; at rest: {idle}", flush=True)
    return max(0.0, cost["outside"]) / cost["inside"]


def _parts(plane: RunningPlane, replica: SecondReplica) -> Mapping[str, Sequence[int]]:
    outside = ("nats", "postgres", *plane.dev.processes)
    return {
        "inside": [replica.children.pid(name) for name in INSIDE],
        "outside": [plane.children.pid(name) for name in outside],
    }


async def _spent(parts: Mapping[str, Sequence[int]], work: Awaitable[None]) -> dict[str, float]:
    before = {name: _cpu_s(pids) for name, pids in parts.items()}
    await work
    return {name: _cpu_s(pids) - before[name] for name, pids in parts.items()}


def _cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds of processes and their children, those that have ended included."""
    return sum(_of_process(each) for pid in pids for each in (pid, *_children(pid)))


def _children(pid: int) -> Sequence[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _of_process(pid: int) -> float:
    """User, system, and both of the children that have ended (proc(5), `stat`, fields 14 to 17)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_PER_S
