"""Servers that hang, and refuse nothing: reads end in bounded time, and health always answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.kit.fleet import Fleet, fleet
from tests.flows.client import Client, at, client_of

READ_S_MAX, HEALTH_S_MAX = 8.0, 4.0
"""Bounds of the tests: longer than those of the product, far shorter than a hang."""
WORKSPACE = at("workspace", "one")


@pytest.fixture
async def made() -> AsyncIterator[Fleet]:
    async with fleet() as running:
        yield running


async def status(client: Client, path: str, seconds: float) -> int:
    async with asyncio.timeout(seconds):
        return (await client.get(path)).status


async def asked(client: Client, monitor: Client) -> dict[str, int]:
    """The statuses of a GET by name, a list and the probes, all asked at once."""
    paths = (WORKSPACE, at("workspace"), "/healthz")
    read, listed, alive, ready = await asyncio.gather(
        *(status(client, path, READ_S_MAX) for path in paths),
        status(monitor, "/readyz", HEALTH_S_MAX),
    )
    return {"read": read, "listed": listed, "alive": alive, "ready": ready}


async def test_reads_and_probes_are_answered_while_a_server_hangs(made: Fleet) -> None:
    async with made.client("serve-1") as client, client_of(made.monitor("serve-1"), None) as probes:
        await client.made(WORKSPACE, {})
        with made.frozen("postgres"):
            for _ in range(3):
                during = await asked(client, probes)
                assert during["read"] in (200, 503), during
                assert during["listed"] == 503, during
                assert during["alive"] == 200, during
                assert during["ready"] in (200, 503), during
        assert (await client.until(WORKSPACE, lambda answer: answer.status == 200)).status == 200
        with made.frozen("nats"):
            for _ in range(3):
                during = await asked(client, probes)
                assert during["alive"] == 200, during
                assert {during["read"], during["listed"], during["ready"]} <= {200, 503}, during
        await client.until(at("workspace"), lambda answer: answer.status == 200)
