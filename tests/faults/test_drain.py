"""SIGTERM under load: what is in flight is answered, and the process ends with status 0."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from subprocess import Popen

import aiohttp
import pytest

from secaplane.cli.config import Config
from secaplane.kinds import KINDS
from secaplane.model.events import StatusReported
from secaplane.model.shape import State
from tests.faults.kit.fleet import Fleet, fleet
from tests.flows.client import VOLUME, Answer, at, client_of
from tests.flows.crashing import until
from tests.flows.simulated_site import Site
from tests.opened_log import opened_log
from tests.plane import outliving
from tests.servers import connected

LOAD = 40
HELD_S = 2.0
_number = count(1)


@pytest.fixture(scope="module")
def shared() -> Iterator[Fleet]:
    with outliving(prepared()) as made:
        yield made


@asynccontextmanager
async def prepared() -> AsyncIterator[Fleet]:
    """With a query that is not ready for a while before it ends, and one that gives requests in
    flight no time."""
    counts = {"serve": 1, "projector": 1, "reconcilers": 1}
    async with fleet(counts, settings=Config()) as made:
        late = {"SECAPLANE_STOPPING_NOT_READY_SECONDS": "3"}
        hasty = {"SECAPLANE_STOPPING_IN_FLIGHT_SECONDS": "0.5"}
        for name in [await made.add("query", late), await made.add("query", hasty)]:
            await made.children.ready(name)
        yield made


@pytest.fixture
async def workspace(shared: Fleet) -> str:
    """With volumes v0 to v19 that are active."""
    name = f"w{next(_number)}"
    async with shared.client("serve-1") as client:
        await client.made(at("workspace", name), {"spec": {}})
        for n in range(LOAD // 2):
            await client.put(volume(name, f"v{n}"), VOLUME)
        for n in range(LOAD // 2):
            await client.active(volume(name, f"v{n}"))
    return name


def site_of(fleet: Fleet) -> Site:
    cloud = fleet.dev.config.cloud
    return Site(int(cloud.url.rpartition(":")[2]), cloud.token)


def volume(workspace: str, name: str) -> str:
    return at("block-storage", name, workspace=workspace)


async def alone(fleet: Fleet, name: str, method: str, path: str) -> Answer:
    """A request on a connection of its own."""
    async with fleet.client(name) as client:
        return await (client.put(path, VOLUME) if method == "PUT" else client.get(path))


async def refuses(url: str) -> None:
    async def refused() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz"):
                return False
        except aiohttp.ClientConnectionError:
            return True

    await until(refused, "connections are refused")


@asynccontextmanager
async def in_flight(
    fleet: Fleet, workspace: str, name: str = "serve-1"
) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """20 PUTs and 20 GETs that a database which has stopped keeps from being answered."""
    with fleet.frozen("postgres"):
        asked = [
            asyncio.create_task(alone(fleet, name, "PUT", volume(workspace, f"new{n}")))
            for n in range(LOAD // 2)
        ]
        asked += [
            asyncio.create_task(alone(fleet, name, "GET", volume(workspace, f"v{n}")))
            for n in range(LOAD // 2)
        ]
        await asyncio.sleep(1)
        assert not any(each.done() for each in asked)
        yield asked


async def ended(process: Popen[bytes]) -> int:
    """Its exit status. The supervisor waits for it, too."""

    async def over() -> bool:
        return process.returncode is not None

    await until(over, "the process has ended")
    assert process.returncode is not None
    return process.returncode


async def ready(fleet: Fleet, name: str) -> None:
    async with fleet.client(name) as client:
        await client.back()
    await readable(fleet, name)


async def readable(fleet: Fleet, name: str) -> None:
    async with fleet.client(name) as client:
        await client.until(at("workspace"), lambda answer: answer.status == 200)


async def test_forty_requests_in_flight_are_answered(shared: Fleet, workspace: str) -> None:
    process = shared.running("serve-1")
    async with in_flight(shared, workspace) as asked:
        process.send_signal(signal.SIGTERM)
        await refuses(shared.url("serve-1"))
        assert not all(each.done() for each in asked)
    answers = await asyncio.gather(*asked)
    assert [each.status for each in answers] == [201] * (LOAD // 2) + [200] * (LOAD // 2)
    assert {each.headers.get("Connection") for each in answers} == {"close"}
    assert await ended(process) == 0
    await ready(shared, "serve-1")


async def test_a_second_signal_ends_a_process_at_once(shared: Fleet, workspace: str) -> None:
    process = shared.running("serve-1")
    async with in_flight(shared, workspace) as asked:
        process.send_signal(signal.SIGTERM)
        await refuses(shared.url("serve-1"))
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert await ended(process) == 128 + signal.SIGTERM
    for each in answers:
        if isinstance(each, Answer):
            assert each.status in (200, 201)
        else:
            assert isinstance(each, aiohttp.ClientConnectionError)
    await ready(shared, "serve-1")


async def test_a_reader_is_not_ready_while_it_still_answers(shared: Fleet) -> None:
    name = "query-1"
    await readable(shared, name)
    process = shared.running(name)
    process.send_signal(signal.SIGTERM)
    async with client_of(shared.monitor(name), None) as monitor:
        answer = await monitor.until("/readyz", lambda answer: answer.status == 503)
        assert answer.json["reasons"][0] == "stopping"
        assert (await monitor.get("/healthz")).status == 200
    async with shared.client(name) as client:
        listed = await client.get(at("workspace"))
    assert listed.status == 200
    assert listed.headers["Connection"] == "close"
    assert await ended(process) == 0


async def test_requests_that_never_end_get_a_problem(shared: Fleet, workspace: str) -> None:
    name = "query-2"
    await readable(shared, name)
    process, path = shared.running(name), volume(workspace, "v1")
    with shared.frozen("postgres"):
        asked = [asyncio.create_task(alone(shared, name, "GET", path)) for _ in range(10)]
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*asked)
        assert await ended(process) == 0
    for each in answers:
        assert each.status in (200, 503), each
        assert each.status == 200 or each.json["status"] == 503


async def test_a_rolling_restart_under_load_fails_no_request(shared: Fleet, workspace: str) -> None:
    """A client that finds a connection refused, or closed before its answer, asks again."""
    enough, answers = asyncio.Event(), list[int]()

    async def load(method: str, names: Iterator[str]) -> None:
        while not enough.is_set():
            try:
                answer = await alone(shared, "serve-1", method, volume(workspace, next(names)))
                answers.append(answer.status)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for n in range(4):
            group.create_task(load("PUT", (f"r{n}-{m}" for m in count())))
            group.create_task(load("GET", (f"v{m % 20}" for m in count())))
        for name in ("serve-1", "projector-1", "reconcilers-1", "serve-1"):
            process = shared.running(name)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
            if name == "serve-1":
                await ready(shared, name)
            await asyncio.sleep(1)
        enough.set()
    assert set(answers) <= {200, 201}
    assert len(answers) > LOAD


async def test_calls_to_the_cloud_that_are_in_flight_are_reported(
    shared: Fleet, workspace: str
) -> None:
    ref = KINDS["block-storage"].ref({"tenant": "demo", "workspace": workspace}, "called")
    process = shared.running("reconcilers-1")
    site = site_of(shared)
    before = await site.counts()
    await site.misbehave(hold_answers_s=HELD_S)

    async def called() -> bool:
        return len((await site.counts()).creates) > len(before.creates)

    async with shared.client("serve-1") as client:
        assert (await client.put(volume(workspace, "called"), VOLUME)).status == 201
        await until(called, "the cloud has made it, and holds its answer")
        process.send_signal(signal.SIGTERM)
        await site.misbehave()
        await site.plugin.close()
    assert await ended(process) == 0
    async with connected(shared.nats("everything")) as nats:
        log = opened_log(shared.dev.config, nats)
        events = [each.event for each in await log.read(ref)]
    reports = [each for each in events if isinstance(each, StatusReported)]
    assert reports[-1].state is State.ACTIVE
