"""The fault kit: a fleet on three NATS nodes settles, its checks notice what is wrong, and a held
request arrives after its client is gone."""

import asyncio

import aiohttp
import pytest

from tests.faults.kit.checks import (
    assert_cloud_is_the_log,
    assert_consistent,
    assert_no_orphans,
    assert_versions_once,
)
from tests.faults.kit.fleet import Fleet, fleet
from tests.faults.kit.holding_proxy import holding_proxy
from tests.flows.client import VOLUME, at
from tests.flows.simulated_site import SMALL, a

VOLUMES = 40


async def volumes(made: Fleet, workspace: str, count: int) -> None:
    async with made.clients("command") as clients:
        first = next(clients)
        assert (await first.put(at("workspace", workspace), {"spec": {}})).status == 201

        async def put(n: int) -> None:
            path = at("block-storage", f"v{n}", workspace=workspace)
            answer = await next(clients).put(path, VOLUME)
            assert answer.status == 201, answer

        await asyncio.gather(*(put(n) for n in range(count)))


async def test_a_fleet_on_three_nodes_settles_and_the_checks_notice_an_orphan() -> None:
    counts = {"command": 2, "query": 2, "projector": 1, "reconcilers": 1}
    async with fleet(counts, nodes=3) as made:
        await volumes(made, "kit", VOLUMES)
        events = await assert_consistent(made)
        assert_versions_once(events)
        with pytest.raises(AssertionError):
            assert_versions_once([*events, events[-1]])
        assert_no_orphans(events)
        with pytest.raises(AssertionError):
            assert_no_orphans([each for each in events if each.ref.kind != "workspace"])
        await made.site.ensure(a("block-storage", SMALL, uid="unknown"))
        with pytest.raises(AssertionError, match="unknown"):
            await assert_cloud_is_the_log(made, events)


async def test_a_held_request_reaches_the_server_after_its_client_has_gone() -> None:
    received = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, holding_proxy("127.0.0.1", port) as proxy:
        held = proxy.hold(b"PUT /things/one")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await session.put(f"{proxy.url}/things/one")
            async with session.get(f"{proxy.url}/other") as answer:
                assert answer.status == 200
        assert (await received.get()).startswith(b"GET /other")
        assert held.arrived.is_set()
        assert not held.delivered.is_set()
        held.released.set()
        assert (await received.get()).startswith(b"PUT /things/one")
        await held.answered.wait()
        assert held.answer.startswith(b"HTTP/1.1 200")
