"""Command and query in separate processes behind the real proxy, configured by compose's own file:
clients see one API, also when a query process dies."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from secaplane.edge.problem import MEDIA_TYPE, Problem
from tests.flows.client import REACHED_S_MAX, VOLUME, Client, at, client_of
from tests.flows.client import READS as ROLE
from tests.flows.crashing import until
from tests.flows.split_plane import ADDRESSES, CADDY, SplitPlane, alone, split
from tests.plane import outliving

pytestmark = pytest.mark.skipif(
    CADDY is None, reason="caddy is not installed (apt-get install caddy)"
)
QUERIES = ("query-1", "query-2")
READS, READERS = 40, 8
LOAD_S = 3.0
UNAVAILABLE = 503
PATIENCE_S = 1.0
"""The time after which the proxy asks another query by name (deploy/Caddyfile)."""


@pytest.fixture(scope="module")
def own_plane() -> Iterator[SplitPlane]:
    with outliving(split()) as made:
        yield made


@pytest.fixture
async def proxied(own_plane: SplitPlane) -> AsyncIterator[Client]:
    """The administrator of the tenant, as a client of the proxy."""
    async with client_of(own_plane.url, own_plane.token) as caller:
        yield caller


async def test_writes_go_to_command_and_reads_to_the_queries(
    own_plane: SplitPlane, proxied: Client, workspace: str
) -> None:
    before = {name: await own_plane.answers(name) for name in ADDRESSES}
    await proxied.made(at("workspace", workspace), {})
    path = at("block-storage", "disk", workspace=workspace)
    await proxied.made(path, VOLUME)
    for _ in range(READS):
        assert (await proxied.get(path)).status == 200
        assert (await proxied.head(path)).status == 200
    assert (await proxied.delete(path)).status == 202
    await proxied.gone(path)
    after = {name: await own_plane.answers(name) for name in ADDRESSES}

    def more(name: str, method: str) -> int:
        return after[name].get(method, 0) - before[name].get(method, 0)

    assert (more("command", "GET"), more("command", "HEAD")) == (0, 0)
    assert (more("command", "PUT"), more("command", "DELETE")) == (2, 1)
    for query in QUERIES:
        assert more(query, "GET") > 0
        assert more(query, "HEAD") > 0
        assert more(query, "PUT") == more(query, "DELETE") == 0


async def test_every_query_process_shows_a_write_at_its_position(
    proxied: Client, workspace: str
) -> None:
    await proxied.made(at("workspace", workspace), {})
    for n in range(READS // 2):
        path = at("block-storage", f"d{n}", workspace=workspace)
        written = await proxied.put(path, VOLUME)
        assert written.status == 201
        position = written.headers["Secaplane-Position"]
        read = await proxied.get(path, Secaplane_At_Least=position)
        assert (read.status, read.json["spec"]) == (200, written.json["spec"])


async def test_the_proxy_passes_headers_and_paths_unchanged(
    own_plane: SplitPlane, proxied: Client, workspace: str
) -> None:
    path = at("workspace", workspace)
    made = await proxied.put(path, {}, X_Request_Id="mine-1")
    assert (made.status, made.headers["X-Request-Id"]) == (201, "mine-1")
    assert made.headers["Location"] == f"{own_plane.url}{path}"
    read = (await proxied.active(path)).headers["ETag"]
    same = await proxied.get(path, If_None_Match=read, X_Request_Id="mine-2")
    assert (same.status, same.headers["X-Request-Id"]) == (304, "mine-2")
    outdated = await proxied.put(path, {}, if_unmodified_since="7")
    assert (outdated.status, outdated.headers["Content-Type"]) == (412, MEDIA_TYPE)
    assert (await proxied.get(path, token=None)).status == 401
    assert (await proxied.get(f"{path}%2Fx")).status == 404
    assert (await proxied.get(f"{path}/")).status == 404
    refused = await proxied.ask("PATCH", path)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, PUT, DELETE")


@pytest.mark.parametrize(
    "path",
    ["/openapi.json", "/openapi/seca.compute.json", "/docs", "/.wellknown/secapi", "/healthz"],
)
async def test_pages_without_a_token_are_served(proxied: Client, path: str) -> None:
    assert (await proxied.get(path, token=None)).status == 200


async def test_the_region_and_the_wellknown_page_name_the_proxy(
    own_plane: SplitPlane, proxied: Client
) -> None:
    (region,) = (await proxied.get(at("region"))).json["items"]
    urls = [each["url"] for each in region["spec"]["providers"]]
    urls += [each["url"] for each in (await proxied.get("/.wellknown/secapi")).json["endpoints"]]
    assert all(url.startswith(f"{own_plane.url}/providers/seca.") for url in urls)


async def test_reads_go_on_while_a_query_process_hangs(
    own_plane: SplitPlane, proxied: Client, workspace: str
) -> None:
    """Its requests are sent to another one after a second; from then on it gets none."""
    path = at("workspace", workspace)
    await proxied.made(path, {})
    hanging = own_plane.children.pid("query-2")
    now = asyncio.get_running_loop().time
    delayed: list[float] = []

    async def read() -> None:
        until = now() + LOAD_S * 2
        while now() < until:
            began = now()
            assert (await proxied.get(path)).status == 200
            if now() - began > PATIENCE_S:
                delayed.append(now() - began)

    os.kill(hanging, signal.SIGSTOP)
    try:
        async with asyncio.timeout(LOAD_S * 10), asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(read())
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert len(delayed) <= 2 * READERS  # each reader meets it once, or once more before it is known
    assert max(delayed, default=0.0) < LOAD_S


def family(pid: int) -> Iterator[int]:
    """A process, and those that it started."""
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            yield from family(int(child))


def signalled(pids: Sequence[int], number: signal.Signals) -> None:
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, number)


async def test_a_reader_that_is_not_ready_is_asked_if_there_is_no_other(
    own_plane: SplitPlane, proxied: Client
) -> None:
    """Without the database no query is ready, and a read by name is answered from the log."""
    path = at("role", "reader")
    assert (await proxied.put(path, {"spec": ROLE})).status == 201
    database = [*family(own_plane.children.pid("postgres"))]

    async def is_ready() -> bool:
        shown = [(await own_plane.readiness(each))["ready"] for each in QUERIES]
        return any(shown)

    async def none_is_ready() -> bool:
        return not await is_ready()

    signalled(database, signal.SIGSTOP)
    try:
        await until(none_is_ready, "no query is ready")
        assert (await proxied.get(path)).status == 200
    finally:
        signalled(database, signal.SIGCONT)
    await until(is_ready, "a query is ready again")


async def test_a_query_process_that_dies_loses_at_most_the_answers_in_progress(
    own_plane: SplitPlane, proxied: Client, workspace: str
) -> None:
    """A proxy cannot repeat an answer that has begun; the client repeats the request."""
    path = at("workspace", workspace)
    await proxied.made(path, {})
    statuses: list[int] = []
    cut: list[aiohttp.ClientPayloadError] = []

    async def read() -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(LOAD_S * 10):
            until = now() + LOAD_S
            while now() < until or len(statuses) <= READS * READERS:
                try:
                    statuses.append((await proxied.get(path)).status)
                except aiohttp.ClientPayloadError as error:
                    cut.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(read())
        await asyncio.sleep(LOAD_S / 3)
        os.kill(own_plane.children.pid("query-1"), signal.SIGKILL)
    assert len(statuses) > READS * READERS
    assert set(statuses) == {200}
    assert len(cut) <= READERS


async def test_a_write_waits_for_a_command_that_comes_back(
    own_plane: SplitPlane, proxied: Client, workspace: str
) -> None:
    path = at("workspace", workspace)
    await proxied.made(path, {})
    os.kill(own_plane.children.pid("command"), signal.SIGKILL)
    assert (await proxied.get(path)).status == 200
    async with asyncio.timeout(REACHED_S_MAX):
        while (again := await proxied.put(path, {})).status == UNAVAILABLE:
            assert again.headers["Retry-After"] == "1"
    assert again.status == 200


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_without_a_process_behind_it_the_proxy_answers_a_problem(
    tmp_path: Path, method: str
) -> None:
    async with alone(tmp_path) as url, client_of(url, None) as client:
        refused = await client.ask(method, at("region", "eu-1"))
    assert (refused.status, refused.headers["Content-Type"]) == (UNAVAILABLE, MEDIA_TYPE)
    assert (refused.json["status"], refused.json["sources"]) == (UNAVAILABLE, [])
    assert refused.json["instance"].startswith("urn:secaplane:proxy:")
    assert refused.json.keys() == {field for field in Problem.__struct_fields__ if field != "meta"}


async def test_command_alone_is_not_ready_while_the_log_takes_no_events(
    own_plane: SplitPlane,
) -> None:
    """Readers go on: what stops only writing is a remark for them, with numbers."""

    async def ready(name: str) -> tuple[bool, str]:
        shown = await own_plane.readiness(name)
        return shown["ready"], " ".join([*shown["reasons"], *shown["remarks"]])

    async def command_is(expected: bool) -> bool:
        return (await ready("command"))[0] is expected

    nats = own_plane.children.pid("nats")
    os.kill(nats, signal.SIGSTOP)
    try:
        await until(lambda: command_is(False), "command is not ready")
        stopped, reader = await ready("command"), await ready("query-1")
    finally:
        os.kill(nats, signal.SIGCONT)
    assert re.search(r"appends are refused for \d+ s", stopped[1])
    assert reader[0]
    assert re.search(r"the log is unavailable: no answer for \d+ s", reader[1])
    await until(lambda: command_is(True), "command is ready again")
