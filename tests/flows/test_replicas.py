"""A second replica of the read model on a PostgreSQL of its own, and a streaming replica of
PostgreSQL: readers are added without touching the first, and every promise of a read holds through
each of them."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import aiohttp
import asyncpg
import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.model.shape import Json
from tests.flows.client import Client, at, client_of
from tests.flows.crashing import until
from tests.plane import outliving, running_plane
from tests.replicas import SecondReplica, query, second_replica, streaming_replica

ROUNDS = 30
REFUSED = 2
WEB = at("workspace", "spread")
GATEWAYS = at("internet-gateway", workspace="spread")


def gateway(name: str) -> str:
    return at("internet-gateway", name, workspace="spread")


def labelled(n: int) -> Json:
    return {"labels": {"n": str(n)}, "spec": {}}


@asynccontextmanager
async def replicated() -> AsyncIterator[SecondReplica]:
    async with running_plane(settings=Config()) as plane:
        async with client_of(plane.dev.url, plane.token) as first:
            await first.made(WEB, {})
            await first.made(gateway("before"), labelled(0))
        async with second_replica(plane) as made:
            yield made


@pytest.fixture(scope="module")
def replica() -> Iterator[SecondReplica]:
    with outliving(replicated()) as made:
        yield made


class Both:
    """Clients of the first replica, which accepts writes, too, and of the second."""

    def __init__(self, first: Client, second: Client) -> None:
        self.first, self.second = first, second
        self.all = (first, second)


@pytest.fixture
async def both(replica: SecondReplica) -> AsyncIterator[Both]:
    plane = replica.plane
    async with (
        client_of(plane.dev.url, plane.token) as first,
        client_of(replica.url, plane.token) as second,
    ):
        yield Both(first, second)


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def shown(url: str, path: str = "/readyz") -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
        body = await answer.text() if path == "/metrics" else await answer.json()
        return answer.status, body


def is_ready(url: str, expected: int) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        with suppress(aiohttp.ClientError):
            return (await shown(url))[0] == expected
        return False

    return ready


async def test_a_new_replica_was_filled_in_numbers_and_names_itself(
    replica: SecondReplica, both: Both
) -> None:
    await until(is_ready(replica.monitor(), 200), "its projector is ready")
    assert (await shown(replica.monitor()))[1]["details"]["replica"]["name"] == "b"
    metrics = (await shown(replica.monitor(), "/metrics"))[1]
    names = ("filled_events", "events_to_fill")
    pattern = r'secaplane_read_model_{}\{{group="resources"\}} (\d+)'
    filled, to_fill = (re.search(pattern.format(each), metrics) for each in names)
    assert filled
    assert to_fill
    assert int(float(filled[1])) >= int(float(to_fill[1])) > 0
    ids = {
        (await shown(url))[1]["details"]["replica"]["id"]
        for url in (replica.plane.dev.url, replica.url)
    }
    assert len(ids) == 2
    assert (await both.second.get(gateway("before"))).json["labels"] == {"n": "0"}


async def test_every_write_is_read_through_each_replica(both: Both) -> None:
    for n in range(ROUNDS):
        written = await both.first.put(gateway("mine"), labelled(n))
        assert written.status in (200, 201)
        position = written.headers["Secaplane-Position"]
        for client in both.all:
            assert (await client.get(gateway("mine"))).json["labels"] == {"n": str(n)}
            listed = (await client.get(GATEWAYS)).json["items"]
            (found,) = (each for each in listed if each["metadata"]["name"] == "mine")
            assert found["labels"] == {"n": str(n)}
            exact = await client.get(gateway("mine"), Secaplane_At_Least=position)
            assert exact.json["labels"] == {"n": str(n)}


async def test_a_skip_token_of_one_replica_goes_on_at_the_other(both: Both) -> None:
    names = [f"page-{n}" for n in range(4)]
    for name in names:
        await both.first.made(gateway(name), labelled(0))
    for here, there in (both.all, both.all[::-1]):
        began = await here.get(f"{GATEWAYS}?limit=2")
        token = began.json["metadata"]["skipToken"]
        rest = await there.get(f"{GATEWAYS}?limit=100&skipToken={token}")
        everything = (await there.get(GATEWAYS)).names
        assert began.names + rest.names == everything
        assert set(names) < set(everything)


async def test_while_a_replica_is_behind_its_readers_are_not_stale(
    replica: SecondReplica, both: Both
) -> None:
    await both.first.made(gateway("late"), labelled(0))
    with stopped([replica.children.pid("projector-b")]):
        written = await both.first.put(gateway("late"), labelled(1))
        position = written.headers["Secaplane-Position"]
        assert (await both.second.get(gateway("late"))).json["labels"] == {"n": "1"}
        exact = await both.second.get(gateway("late"), Secaplane_At_Least=position)
        assert (exact.status, exact.json["labels"]) == (200, {"n": "1"})
        assert (await both.second.get(GATEWAYS, Secaplane_At_Least=position)).status == 503
        assert (await both.first.get(GATEWAYS, Secaplane_At_Least=position)).status == 200
        assert (await both.first.put(gateway("later"), labelled(2))).status == 201
        waiting = asyncio.create_task(both.second.get(GATEWAYS))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert "later" in (await waiting).names


async def test_a_second_projector_stands_by_and_takes_over(
    replica: SecondReplica, both: Both
) -> None:
    process = replica.projector("projector-b2")

    async def working() -> list[str]:
        names = ("projector-b", "projector-b2")
        pages = [(await shown(replica.monitor(each)))[1]["details"] for each in names]
        groups = [page["groups"]["resources"] for page in pages]
        return [name for name, each in zip(names, groups, strict=True) if not each["standsBy"]]

    async with Supervisor(replica.plane.folder / "logs") as children:
        await children.start(process)
        await children.ready(process.name)
        numbers = iter(range(10_000))

        async def one_works() -> bool:
            await both.first.put(gateway("watched"), labelled(next(numbers)))
            return len(await working()) == 1

        await until(one_works, "one projector stands by")
        (leader,) = await working()
        owner = replica.children if leader == "projector-b" else children
        with stopped([owner.pid(leader)]):
            for n in range(ROUNDS):
                written = await both.first.put(gateway("watched"), labelled(n))
            position = written.headers["Secaplane-Position"]

            async def projected() -> bool:
                listed = await both.second.get(GATEWAYS, Secaplane_At_Least=position)
                return listed.status == 200

            await until(projected, "the other projector has taken over")
        for n in range(ROUNDS):
            written = await both.first.put(gateway("watched"), labelled(n))
            position = written.headers["Secaplane-Position"]
            read = await both.second.get(gateway("watched"), Secaplane_At_Least=position)
            assert read.json["labels"] == {"n": str(n)}
    await until(is_ready(replica.monitor(), 200), "the projector that is left works")
    await both.first.put(gateway("watched"), labelled(-1))
    assert (await both.second.get(gateway("watched"))).json["labels"] == {"n": "-1"}


@pytest.mark.parametrize("command", ["query", "projector"])
async def test_a_name_and_a_database_that_do_not_belong_together_are_refused(
    replica: SecondReplica, command: str
) -> None:
    plane = replica.plane
    if command == "query":
        process = query(plane, "query-x", 0, "main", replica.reader)
    else:
        process = plane.dev.process("projector")
        more = {"SECAPLANE_READMODEL_REPLICA": "b", "SECAPLANE_MONITOR_PORT": "0"}
        process = ChildProcess("x", process.argv, process.environment | more)
    ended = await asyncio.to_thread(
        subprocess.run,
        process.argv,
        env=os.environ | process.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == REFUSED, ended.stderr
    assert "postgres.url leads to the replica" in ended.stderr
    assert "correct one of the two" in ended.stderr


async def test_a_replica_that_dies_takes_only_its_own_queries_out(
    replica: SecondReplica, both: Both
) -> None:
    first = replica.plane.dev.url
    with stopped(replica.database_pids()):
        await until(is_ready(replica.url, 503), "its query is not ready")
        reasons = (await shown(replica.url))[1]["reasons"]
        assert any("the database is unavailable" in each for each in reasons)
        assert (await shown(first))[0] == 200
        assert (await both.first.put(gateway("alone"), labelled(1))).status == 201
        assert "alone" in (await both.first.get(GATEWAYS)).names
    await until(is_ready(replica.url, 200), "its query is ready again")
    os.kill(replica.children.pid("projector-b"), signal.SIGKILL)
    assert (await both.first.put(gateway("alone"), labelled(2))).status == 200
    assert (await both.second.get(gateway("alone"))).json["labels"] == {"n": "2"}
    await until(is_ready(replica.monitor(), 200), "its projector works again")
    position = (await both.first.put(gateway("alone"), labelled(3))).headers["Secaplane-Position"]

    async def caught_up() -> bool:
        listed = await both.second.get(GATEWAYS, Secaplane_At_Least=position)
        return listed.status == 200

    await until(caught_up, "its rows are at the end of the log")


async def test_a_query_on_a_streaming_replica_is_judged_by_the_checkpoint_of_its_own_rows(
    replica: SecondReplica, both: Both
) -> None:
    """Its replay is paused: the primary's projector announces positions that it does not have."""
    plane = replica.plane
    async with AsyncExitStack() as stack:
        owner, url = await stack.enter_async_context(streaming_replica(plane))
        copy = await stack.enter_async_context(client_of(url, plane.token))
        server = await asyncpg.connect(owner)
        stack.push_async_callback(server.close)
        details = (await shown(url))[1]["details"]["replica"]
        assert (details["name"], details["streaming"]) == ("main", True)
        for n in range(ROUNDS):
            written = await both.first.put(gateway("copied"), labelled(n))
            position = written.headers["Secaplane-Position"]
            assert (await copy.get(gateway("copied"))).json["labels"] == {"n": str(n)}
            listed = (await copy.get(GATEWAYS)).json["items"]
            (found,) = (each for each in listed if each["metadata"]["name"] == "copied")
            assert found["labels"] == {"n": str(n)}
        await server.execute("select pg_wal_replay_pause()")
        try:
            position = (await both.first.put(gateway("copied"), labelled(-1))).headers[
                "Secaplane-Position"
            ]
            assert (await copy.get(gateway("copied"))).json["labels"] == {"n": "-1"}
            assert (await copy.get(GATEWAYS, Secaplane_At_Least=position)).status == 503
            exact = await copy.get(gateway("copied"), Secaplane_At_Least=position)
            assert exact.json["labels"] == {"n": "-1"}
            assert (await both.first.put(gateway("paused"), labelled(0))).status == 201
            waiting = asyncio.create_task(copy.get(GATEWAYS))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        finally:
            await server.execute("select pg_wal_replay_resume()")
        assert "paused" in (await waiting).names
        assert (await copy.get(GATEWAYS, Secaplane_At_Least=position)).status == 200
