"""Three NATS nodes, and two or three of each process, under kills, stops and held requests: nothing
that was accepted is lost, nothing is made twice, every resource settles, and no answer is stale.

`SECAPLANE_TEST_FAULT_SECONDS` is the duration of the faults: `make full` sets ten minutes.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Ref, Resource
from tests.faults.kit.checks import assert_consistent, lives
from tests.faults.kit.fleet import TWO_OF_EACH, Fleet, fleet
from tests.faults.kit.load import Callers
from tests.faults.kit.nats_cluster import NODES
from tests.flows.client import at

SECONDS = float(os.environ.get("SECAPLANE_TEST_FAULT_SECONDS", "40"))
SEED = int(os.environ.get("SECAPLANE_TEST_FAULT_SEED", "1"))
WIDTH = 6
PAUSE_S = (1.0, 4.0)
FROZEN_S = (0.5, 9.0)
"""Some stops outlast a lease, others do not."""
KILLED = ("command", "query", "projector", "reconcilers")


@pytest.fixture
async def made() -> AsyncIterator[Fleet]:
    async with fleet(TWO_OF_EACH, nodes=len(NODES)) as running:
        async with running.client(running.names("command")[0]) as client:
            assert (await client.put(at("workspace", "two"), {"spec": {}})).status == 201
        yield running


async def test_nothing_is_lost_doubled_or_stale_under_kills_stops_and_held_requests(
    made: Fleet,
) -> None:
    callers = Callers(made, "two")
    async with asyncio.TaskGroup() as group:
        load = group.create_task(callers.run(WIDTH, SECONDS))
        await _faults(made, random.Random(SEED), load)
    events = await assert_consistent(made)
    assert not callers.stale, stale(callers, events)
    assert not callers.refused, callers.refused[:5]
    assert_accepted_is_recorded(callers, {ref: each for (ref, _), each in lives(events).items()})


def stale(callers: Callers, events: Sequence[RecordedEvent]) -> str:
    """The first stale answers, with every request and every event of the resource."""
    found = []
    for each in callers.stale[:5]:
        name = each.partition(":")[0]
        recorded = [
            f"{one.time} {one.position} {one.event}" for one in events if one.ref.name == name
        ]
        found.append("\n".join([each, *recorded]))
    return "\n\n".join(found)


async def test_a_rolling_restart_of_every_process_fails_no_request(made: Fleet) -> None:
    """Callers repeat what was cut off or answered 503; nothing else may happen to them."""
    callers = Callers(made, "two")
    async with asyncio.TaskGroup() as group:
        load = group.create_task(callers.run(WIDTH, SECONDS))
        for process in KILLED:
            for name in made.names(process):
                await made.stop(name)
                await asyncio.sleep(1)
        await load
    assert not callers.refused, callers.refused[:5]
    assert not callers.stale, callers.stale[:5]
    assert not callers.unknown, sorted(callers.unknown)[:5]
    await assert_consistent(made)


async def _faults(made: Fleet, rng: random.Random, load: asyncio.Task[None]) -> None:
    """One fault after the other until the callers have ended; at most one NATS node at a time."""
    while not load.done():
        match rng.choice(("kill", "kill", "stop", "freeze", "hold", "node")):
            case "kill":
                await made.kill(rng.choice(made.names(rng.choice(KILLED))))
            case "stop":
                await made.stop(rng.choice(made.names(rng.choice(KILLED))))
            case "freeze":
                with made.frozen(rng.choice(made.names(rng.choice(KILLED)))):
                    await asyncio.sleep(rng.uniform(*FROZEN_S))
            case "hold":
                held = made.cloud.hold(rng.choice((b"PUT /things/", b"DELETE /things/")))
                await asyncio.sleep(rng.uniform(*FROZEN_S))
                held.released.set()
            case "node":
                await made.kill(rng.choice(NODES))
        await asyncio.sleep(rng.uniform(*PAUSE_S))


def assert_accepted_is_recorded(callers: Callers, now: dict[Ref, Resource]) -> None:
    """Every accepted write is the state of its volume, or was followed by one without an answer."""
    by_name = {ref.name: each for ref, each in now.items() if ref.kind == "block-storage"}
    for name, size in callers.accepted.items():
        if name in callers.unknown:
            continue
        volume = by_name[name]
        assert volume.gone == (size == 0), (name, size, volume)
        assert size == 0 or volume.spec["sizeGB"] == size, (name, size, volume.spec)
