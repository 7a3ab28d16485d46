"""Wakes on three NATS nodes: none is lost where the node of a consumer is ahead of the leader, and
the backoff ends with the outage of the cloud."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.kit.checks import assert_consistent, settled
from tests.faults.kit.fleet import Fleet, fleet
from tests.flows.client import VOLUME, at

VOLUMES, AFTERWARDS, AT_ONCE = 300, 40, 4
SETTLED_S_MAX = 45.0
"""Less than the slow net needs, which looks a second time after 100 s."""
OUTAGE_S = 27.0
"""The last tries before its end are 25 s after the first, the next ones would be after 51 s."""
BACK_S_MAX = 15.0


async def volumes(made: Fleet, first: int, count: int) -> None:
    async with made.clients("command") as clients:
        client = next(clients)
        await client.put(at("workspace", "wakes"), {"spec": {}})
        left = iter(range(first, first + count))

        async def put_some() -> None:
            for n in left:
                answer = await client.put(at("block-storage", f"v{n}", workspace="wakes"), VOLUME)
                assert answer.status == 201, answer

        await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))


async def every_volume_settles(made: Fleet) -> None:
    await volumes(made, 0, VOLUMES)
    await settled(made, seconds=SETTLED_S_MAX)
    await assert_consistent(made)


async def the_backoff_ends_with_the_outage(made: Fleet) -> None:
    await made.site.misbehave(outage=True)
    await volumes(made, VOLUMES, AFTERWARDS)
    await asyncio.sleep(OUTAGE_S)
    await made.site.misbehave()
    await settled(made, seconds=BACK_S_MAX)
    await assert_consistent(made)


SCENES: list[Callable[[Fleet], Awaitable[None]]] = [
    every_volume_settles,
    the_backoff_ends_with_the_outage,
]


async def test_no_wake_is_lost_and_no_backoff_outlives_its_outage() -> None:
    counts = {"command": 1, "query": 1, "projector": 1, "reconcilers": 1}
    async with fleet(counts, nodes=3) as made:
        for scene in SCENES:
            await scene(made)
