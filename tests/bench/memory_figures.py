"""Memory of the processes after many large specs: what they keep is bounded in bytes."""

import asyncio
from itertools import count

import aiohttp
import msgspec

from secaplane.model.shape import Json
from tests.bench.figures import Figure, figure
from tests.plane import RunningPlane, running_plane

SPECS = 300
SPEC_BYTES = 1000 * 1000
IN_FLIGHT = 2
SETTLE_S = 3.0


async def measure() -> dict[str, Figure]:
    async with running_plane() as plane:
        await _write(plane, 1)
        before = plane.rss_mib()
        await _write(plane, SPECS)
        await asyncio.sleep(SETTLE_S)
        after = plane.rss_mib()
    return {
        "rss_large_specs": figure([max(after.values()) / max(before.values())], "ratio"),
        **{f"rss_large_{name}": figure([after[name]], "MiB") for name in after},
    }


async def _write(plane: RunningPlane, specs: int) -> None:
    """Workspaces with 1 MB of members each, read once, too."""
    numbers = count()
    body = msgspec.json.encode({"spec": _spec()})

    async def client(session: aiohttp.ClientSession) -> None:
        while (number := next(numbers)) < specs:
            url = plane.workspace(f"large-{specs}-{number}")
            async with session.put(url, data=body) as answer:
                assert answer.status == 201, await answer.text()
            async with session.get(url) as answer:
                assert len(await answer.read()) > SPEC_BYTES

    async with aiohttp.ClientSession(headers=plane.headers) as session:
        await asyncio.gather(*(client(session) for _ in range(IN_FLIGHT)))


def _spec() -> Json:
    return {f"member-{n:06}": "x" * 82 for n in range(SPEC_BYTES // 100)}
