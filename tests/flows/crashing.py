"""Faults in a running control plane: kill or stop its processes, and observe it from outside."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from asyncpg import Pool

from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.dev.plane import PROCESSES, free_port
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING
from secaplane.readmodel.schema import tables
from tests.flows.client import Answer, Client, client_of
from tests.flows.simulated_site import Site
from tests.opened_log import opened_log
from tests.plane import RunningPlane
from tests.servers import STREAM, connected

UNSETTLED = "select exists (select from resources where unsettled)"
CHECKPOINT = """
select least((select min(position) from resources_1.checkpoints),
    (select min(position) from history_1.checkpoints))
"""
"""The position that the rows of both groups have reached."""
CONDITION_S_MAX = 60.0
POLL_S = 0.02


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = CONDITION_S_MAX
) -> None:
    """Poll a condition for a bounded time; an unavailable log or database counts as false."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                if await _holds(condition):
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise AssertionError(f"not reached in {seconds:.0f} s: {what}") from error


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except (OSError, LogUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def put_accepted(client: Client, path: str, body: object) -> Answer:
    """PUT, retried while the log is unavailable (503), as the Retry-After header asks for."""
    async with asyncio.timeout(CONDITION_S_MAX):
        while True:
            answer = await client.put(path, body)
            if answer.status != 503:
                assert answer.status in (200, 201), answer
                return answer
            await asyncio.sleep(POLL_S)


class Scene:
    """A running control plane with everything a test observes it by: client, log, tables, cloud."""

    def __init__(
        self, own_plane: RunningPlane, client: Client, log: JetStreamLog, site: Site
    ) -> None:
        self.plane, self.client, self.log, self.site = own_plane, client, log, site
        self.killed: set[str] = set()

    def pid(self, name: str) -> int:
        return self.plane.children.pid(name)

    async def kill(self, name: str) -> None:
        """Send SIGKILL; return when the supervisor has started the process again."""
        pid = self.pid(name)
        self.killed |= {name} & set(PROCESSES)
        os.kill(pid, signal.SIGKILL)
        await self.started_again(name, pid)
        await until(self._log_answers, "the log answers")

    async def _log_answers(self) -> bool:
        return await self.log.end(STREAM) >= BEGINNING

    async def started_again(self, name: str, former: int) -> None:
        async def restarted() -> bool:
            return self.pid(name) != former

        await until(restarted, f"{name} is started again")

    @contextmanager
    def stopped(self, name: str) -> Iterator[int]:
        """Send SIGSTOP, and SIGCONT at the end unless the process is gone by then."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            if self.pid(name) == pid:
                os.kill(pid, signal.SIGCONT)

    async def events(self) -> list[RecordedEvent]:
        """Every event of the log, oldest first."""
        return await whole(self.log)

    @asynccontextmanager
    async def pool(self, number: int = 1) -> AsyncIterator[Pool]:
        """A pool that reads the tables of the first read models of both groups, or of others."""
        schemas = f"resources_{number}, history_{number}"
        pool = await tables.open_pool(self.plane.dev.postgres(OWNER), schema=schemas)
        try:
            yield pool
        finally:
            await pool.close()

    async def at_rest(self) -> None:
        """Wait until the rows have reached the end of the log and none of them is unsettled."""

        async def quiet() -> bool:
            async with self.pool() as pool:
                end = (await self.log.end(STREAM)).sequence
                if await pool.fetchval(CHECKPOINT) != end:
                    return False
                # asked last: rows that had not reached the end would be settled ones of before
                return not await pool.fetchval(UNSETTLED)

        await until(quiet, "everything is at rest")

    @asynccontextmanager
    async def another_serve(
        self, nats_url: str = "", *, side: str = "serve"
    ) -> AsyncIterator[Client]:
        """A second `serve` process on the same log and tables, or a `query` or `command` process;
        killed at the end."""
        process, port = self.plane.dev.process("serve"), free_port()
        argv = tuple(side if each == "serve" else each for each in process.argv)
        environment = process.environment | {"SECAPLANE_HTTP_PORT": str(port)}
        if nats_url:
            environment["SECAPLANE_NATS_URL"] = nats_url
        if side == "command":  # as in production: what only writes has no key of page tokens
            environment["SECAPLANE_SECRETS_PAGE_KEYRING"] = ""
        async with Supervisor(self.plane.folder / "logs") as children:
            await children.start(ChildProcess("second", argv, environment, announces=True))
            await children.ready("second")
            url = f"http://127.0.0.1:{port}"
            async with client_of(url, self.plane.token) as client:
                yield client


@asynccontextmanager
async def scene_of(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    dev = own_plane.dev
    async with (
        client_of(dev.url, own_plane.token) as client,
        connected(dev.nats("everything")) as nats,
    ):
        log = opened_log(dev.config, nats)
        cloud = dev.config.cloud
        site = Site(int(cloud.url.rpartition(":")[2]), cloud.token)
        try:
            yield Scene(own_plane, client, log, site)
        finally:
            await site.plugin.close()


async def whole(log: Log, stream: str = STREAM) -> list[RecordedEvent]:
    """Every event of a stream, oldest first; fails on one that cannot be decoded."""
    end, events = await log.end(stream), list[RecordedEvent]()
    following = log.follow(stream, after=BEGINNING)
    while not events or events[-1].position < end:
        for each in await anext(following):
            assert isinstance(each, RecordedEvent), each
            events.append(each)
    await following.aclose()
    return events


def children_of(pid: int) -> list[int]:
    """The process ids of the direct children of a process, read from /proc."""
    assert sys.platform == "linux", "crash tests need /proc to find child processes"
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            pids.append(int(path.parent.name))
    return pids
