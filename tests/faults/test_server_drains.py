"""A server that ends answers what is in flight; what is cut short gets a problem or no answer."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from litestar import Request, Response, route
from litestar.enums import HttpMethod

from secaplane.edge.serving import app
from secaplane.edge.serving.drain import AT_ONCE, Drain
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving

HOST = "127.0.0.1"
LONG = 30.0
GET = b"GET /providers/slow HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = b"GET /providers/quick HTTP/1.1\r\nHost: a\r\n\r\n"


class Received(NamedTuple):
    """The answers of one connection until it was closed."""

    text: str

    @property
    def statuses(self) -> list[str]:
        return re.findall(r"HTTP/1\.1 (\d+)", self.text)

    @property
    def body(self) -> Any:
        return json.loads(self.text.rpartition("\r\n\r\n")[2])


@dataclass
class Scene:
    """A server with a route that answers when the test says so."""

    port: int = 0
    arrived: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> app.Asgi:
        @route("/providers/slow", http_method=[HttpMethod.GET, HttpMethod.PUT])
        async def slow(request: Request[Any, Any, Any]) -> Response[bytes]:
            await request.body()
            self.arrived += 1
            self.more.set()
            await self.answer.wait()
            return Response(b"{}", media_type="application/json")

        @route("/providers/quick", http_method=HttpMethod.GET)
        async def quick(request: Request[Any, Any, Any]) -> Response[bytes]:
            return Response(b"{}", media_type="application/json")

        return app.build([slow, quick], metrics=Metrics())

    @asynccontextmanager
    async def served(self, drain: Drain = AT_ONCE) -> AsyncIterator[None]:
        listening = listen(HOST, 0)
        self.port = listening.getsockname()[1]
        async with serving(self.application(), listening, drain=drain):
            yield

    async def ask(self, request: bytes) -> Received:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(request)
            with suppress(ConnectionResetError):
                return Received((await reader.read()).decode())
            return Received("")
        finally:
            writer.close()

    async def in_flight(self, number: int) -> None:
        async with asyncio.timeout(LONG):
            while self.arrived < number:
                self.more.clear()
                await self.more.wait()

    async def refuses_connections(self) -> None:
        async with asyncio.timeout(LONG):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, self.port)
                    writer.close()
                except ConnectionError:  # refused, or reset before it was accepted
                    return
                await asyncio.sleep(0.01)


async def left(server: AbstractAsyncContextManager[None]) -> None:
    await server.__aexit__(None, None, None)


async def test_requests_in_flight_are_answered_while_new_connections_are_refused() -> None:
    scene = Scene()
    server = scene.served(Drain(0.0, LONG))
    await server.__aenter__()
    asked = [asyncio.create_task(scene.ask(GET)) for _ in range(20)]
    await scene.in_flight(20)
    ending = asyncio.create_task(left(server))
    await scene.refuses_connections()
    assert not any(each.done() for each in asked)
    scene.answer.set()
    for each in await asyncio.gather(*asked):
        assert each.statuses == ["200"]
        assert "connection: close" in each.text
    await ending


async def test_requests_sent_one_after_the_other_on_a_connection_are_all_answered() -> None:
    """Those that were parsed before the end."""
    scene = Scene()
    server = scene.served(Drain(0.0, LONG))
    await server.__aenter__()
    asked = asyncio.create_task(scene.ask(GET + QUICK + QUICK))
    await scene.in_flight(1)
    ending = asyncio.create_task(left(server))
    await scene.refuses_connections()
    scene.answer.set()
    assert (await asked).statuses == ["200"] * 3
    await ending


async def test_a_body_that_is_still_sent_is_received_to_its_end() -> None:
    scene = Scene()
    scene.answer.set()
    server = scene.served(Drain(0.0, LONG))
    await server.__aenter__()
    reader, writer = await asyncio.open_connection(HOST, scene.port)
    writer.write(b"PUT /providers/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ")
    await asyncio.sleep(0.05)
    ending = asyncio.create_task(left(server))
    await scene.refuses_connections()
    writer.write(b"done.")
    assert Received((await reader.read()).decode()).statuses == ["200"]
    writer.close()
    await ending


async def test_before_the_end_requests_are_accepted_and_each_answer_closes_its_connection() -> None:
    """A client that keeps connections alive goes elsewhere, and loses no request on the way."""
    scene = Scene()
    server = scene.served(Drain(1.0, LONG))
    await server.__aenter__()
    ending = asyncio.create_task(left(server))
    await asyncio.sleep(0)
    answer = await scene.ask(QUICK)
    assert answer.statuses == ["200"]
    assert "connection: close" in answer.text
    await scene.refuses_connections()
    await ending


async def test_a_connection_that_waits_for_a_request_is_closed() -> None:
    scene = Scene()
    server = scene.served()
    await server.__aenter__()
    reader, writer = await asyncio.open_connection(HOST, scene.port)
    await asyncio.sleep(0.05)
    await left(server)
    assert await reader.read() == b""
    writer.close()


async def test_requests_that_do_not_end_in_time_get_a_problem() -> None:
    scene = Scene()
    server = scene.served(Drain(0.0, 0.3))
    await server.__aenter__()
    asked = [asyncio.create_task(scene.ask(GET)) for _ in range(5)]
    await scene.in_flight(5)
    await left(server)
    for each in await asyncio.gather(*asked):
        assert each.statuses == ["503"]
        assert "application/problem+json" in each.text
        assert "retry-after: 1" in each.text
        assert "outcome" in each.body["detail"]


async def test_a_second_signal_closes_connections_without_an_answer() -> None:
    scene = Scene()
    server = scene.served(Drain(0.0, LONG))
    await server.__aenter__()
    asked = [asyncio.create_task(scene.ask(GET)) for _ in range(5)]
    await scene.in_flight(5)
    ending = asyncio.create_task(left(server))
    await scene.refuses_connections()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert [each.text for each in await asyncio.gather(*asked)] == [""] * 5


async def test_requests_are_answered_when_another_task_of_the_process_fails() -> None:
    scene, fail = Scene(), asyncio.Event()

    async def failing() -> None:
        await fail.wait()
        raise ValueError("a defect")

    async def process() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            async with scene.served(Drain(0.0, LONG)):
                await asyncio.Event().wait()

    running = asyncio.create_task(process())
    await asyncio.sleep(0.1)
    asked = asyncio.create_task(scene.ask(GET))
    await scene.in_flight(1)
    fail.set()
    await scene.refuses_connections()
    scene.answer.set()
    assert (await asked).statuses == ["200"]
    with pytest.raises(ExceptionGroup) as raised:
        await running
    assert raised.group_contains(ValueError, match="a defect")


async def test_a_defect_outside_of_the_routes_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()

    def broken(*arguments: object) -> None:
        raise ValueError("a defect")

    async with scene.served():
        monkeypatch.setattr("secaplane.edge.serving.app.framing.fault", broken)
        answer = await scene.ask(QUICK)
    assert answer.statuses == ["500"]
    assert answer.body["title"] == "Internal Server Error"
