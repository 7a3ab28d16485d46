"""Two reconcilers processes share the work: no orphan, no double create, whichever is stopped."""

import asyncio
import random

import aiohttp

from secaplane.reconcilers.leases.partitions import ALL
from tests.faults.kit.checks import assert_consistent
from tests.faults.kit.fleet import Fleet, fleet
from tests.flows.client import VOLUME, at
from tests.flows.crashing import until

LOAD_S, WRITERS = 20.0, 8
MOVED_S_MAX = 60.0
LARGER = VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": 20}}


async def test_two_processes_share_the_work_through_stops_kills_and_held_requests() -> None:
    async with fleet({"serve": 1, "projector": 1, "reconcilers": 1}) as made:
        await a_late_request_of_a_stopped_process_is_refused(made)
        await shared(made, 2)
        await no_orphan_under_load(made, "load")
        await a_process_that_continues_after_its_lease_changes_nothing(made)
        await its_partitions_move(made)


async def a_late_request_of_a_stopped_process_is_refused(made: Fleet) -> None:
    """Its request to create a volume is held back until the volume is deleted."""
    path = at("block-storage", "held", workspace="late")
    async with made.client("serve-1") as client:
        await client.made(at("workspace", "late"), {"spec": {}})
        held = made.cloud.hold(b"PUT /things/")
        assert (await client.put(path, VOLUME)).status == 201
        await held.arrived.wait()
        with made.frozen("reconcilers-1"):
            await made.add("reconcilers")
            await client.active(path)
            assert (await client.delete(path)).status == 202
            await client.gone(path)
            held.released.set()
            await held.answered.wait()
            assert held.answer.startswith(b"HTTP/1.1 412"), held.answer
    await assert_consistent(made)


async def no_orphan_under_load(made: Fleet, workspace: str) -> None:
    """Volumes are created, changed and deleted, each by one of several writers."""
    async with made.client("serve-1") as client:
        await client.made(at("workspace", workspace), {"spec": {}})
        end = asyncio.get_running_loop().time() + LOAD_S

        async def write(writer: int) -> None:
            choice = random.Random(writer)
            while asyncio.get_running_loop().time() < end:
                name = f"v{writer}-{choice.randrange(6)}"
                path = at("block-storage", name, workspace=workspace)
                if choice.random() < 0.4:
                    answer = await client.delete(path)
                    assert answer.status in (202, 404), answer
                else:
                    answer = await client.put(path, LARGER)
                    assert answer.status in (200, 201, 409), answer  # 409: it is being deleted
                await asyncio.sleep(choice.random() * 0.05)

        async with asyncio.TaskGroup() as group:
            for writer in range(WRITERS):
                group.create_task(write(writer))
    await assert_consistent(made)


async def a_process_that_continues_after_its_lease_changes_nothing(made: Fleet) -> None:
    async with made.client("serve-1") as client:
        await client.made(at("workspace", "frozen"), {"spec": {}})
        paths = [at("block-storage", f"v{n}", workspace="frozen") for n in range(40)]
        for path in paths:
            assert (await client.put(path, VOLUME)).status == 201
        with made.frozen("reconcilers-2"):
            for path in paths:
                await client.active(path)
            for path in paths[:20]:
                assert (await client.delete(path)).status == 202
            for path in paths[:20]:
                await client.gone(path)
    await shared(made, 2)
    await assert_consistent(made)


async def its_partitions_move(made: Fleet) -> None:
    """After a kill and after a graceful stop, under load."""
    load = asyncio.create_task(no_orphan_under_load(made, "moving"))
    await asyncio.sleep(2)
    await made.kill("reconcilers-1")
    await asyncio.sleep(8)
    await made.stop("reconcilers-2")
    await load
    await shared(made, 2)


async def shared(made: Fleet, processes: int) -> None:
    """Wait until all processes hold equal shares of all partitions."""

    async def balanced() -> bool:
        held = [await partitions(made, name) for name in made.names("reconcilers")]
        return sum(held) == len(ALL) and max(held) - min(held) <= 1 and len(held) == processes

    await until(balanced, "the partitions are shared", seconds=MOVED_S_MAX)


async def partitions(made: Fleet, name: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{made.monitor(name)}/readyz") as a:
        return int((await a.json())["details"]["partitions"])
