"""A control plane with any number of each process, on one NATS server or on three.

The process ids are those of processes that this fleet started: kills and stops name a process, and
never reach any other.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from subprocess import Popen
from urllib.parse import urlsplit

from msgspec.structs import replace as changed

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import NATS_USERS, DevPlane, free_port
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.eventlog.jetstream.log import JetStreamLog
from tests.faults.kit.holding_proxy import HoldingProxy, holding_proxy
from tests.faults.kit.nats_cluster import NODES, NatsCluster
from tests.flows.client import Client, client_of
from tests.flows.crashing import children_of, until
from tests.flows.simulated_site import Site
from tests.opened_log import opened_log
from tests.servers import connected

READY_S_MAX = 120.0
SERVING = ("serve", "command", "query")
ONE_OF_EACH = {"serve": 1, "projector": 1, "reconcilers": 1}
TWO_OF_EACH = {"command": 2, "query": 3, "projector": 2, "reconcilers": 2}


@dataclass
class Fleet:
    """A running control plane. Processes are named `<process>-<number>`: `query-2`; the servers
    are `nats` (or `nats-1` to `nats-3`), `postgres` and `cloud`."""

    dev: DevPlane
    children: Supervisor
    folder: Path
    cluster: NatsCluster | None
    cloud: HoldingProxy
    """Between the reconcilers and the cloud."""
    site: Site
    log: JetStreamLog = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)
    monitors: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.dev.token(self.dev.config.dev.administrator)

    def names(self, process: str) -> list[str]:
        return [f"{process}-{n}" for n in range(1, self._counts.get(process, 0) + 1)]

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def monitor(self, name: str) -> str:
        return f"http://{HOST}:{self.monitors[name]}"

    def pid(self, name: str) -> int:
        return self.children.pid(name)

    async def add(self, process: str, environment: Mapping[str, str] | None = None) -> str:
        """Start one more process; its name. It may not be ready yet."""
        self._counts[process] = self._counts.get(process, 0) + 1
        name = f"{process}-{self._counts[process]}"
        child = self._child(process, name)
        more = dict(environment or {})
        await self.children.start(replace(child, environment=child.environment | more))
        return name

    def _child(self, process: str, name: str) -> ChildProcess:
        made = self.dev.process("serve" if process in SERVING else process)
        self.monitors[name] = free_port()
        environment = made.environment | {
            "SECAPLANE_MONITOR_PORT": str(self.monitors[name]),
            "SECAPLANE_CLOUD_URL": self.cloud.url,
            "SECAPLANE_NATS_URL": self.nats("projector" if process == "query" else process),
        }
        argv = made.argv
        if process in SERVING:
            self.ports[name] = free_port()
            environment["SECAPLANE_HTTP_PORT"] = str(self.ports[name])
            argv = tuple(process if each == "serve" else each for each in argv)
        return replace(made, name=name, argv=argv, environment=environment)

    def nats(self, process: str) -> str:
        """The URL of the log for a process, or for a NATS user."""
        user = process if process == "everything" else NATS_USERS.get(process, "writer")
        return self.cluster.url(user) if self.cluster else self.dev.nats(user)

    # --- faults

    def signal(self, name: str, number: Signals) -> int:
        """Send a signal to one process of this fleet; its process id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    async def kill(self, name: str) -> None:
        """Send SIGKILL; return when the supervisor has started the process again."""
        await self._ends(name, SIGKILL)

    async def stop(self, name: str) -> None:
        """Send SIGTERM; return when the supervisor has started the process again."""
        await self._ends(name, SIGTERM)

    async def _ends(self, name: str, number: Signals) -> None:
        pid = self.signal(name, number)

        async def restarted() -> bool:
            return self.pid(name) != pid

        await until(restarted, f"{name} is started again")

    @contextmanager
    def frozen(self, name: str) -> Iterator[int]:
        """Send SIGSTOP to a process and its children (PostgreSQL's do its work), and SIGCONT at the
        end unless it is gone by then."""
        pid = self.signal(name, SIGSTOP)
        stopped = [pid, *children_of(pid)]
        for each in stopped[1:]:
            os.kill(each, SIGSTOP)
        try:
            yield pid
        finally:
            if self.pid(name) == pid:
                for each in stopped:
                    os.kill(each, SIGCONT)

    def running(self, name: str) -> Popen[bytes]:
        """The process that has that name now; it keeps its exit status when another follows."""
        return self.children._processes[name]

    # --- clients

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        """The administrator, at one process."""
        async with client_of(self.url(name), self.token) as client:
            yield client

    @asynccontextmanager
    async def clients(self, process: str) -> AsyncIterator[Iterator[Client]]:
        """The administrator, at all processes of that name in turn."""
        names = self.names(process)
        async with client_of("", self.token) as session:
            made = [session.towards(self.url(name)) for name in names]
            yield cycle(made)


@asynccontextmanager
async def fleet(
    counts: Mapping[str, int] = ONE_OF_EACH,
    *,
    nodes: int = 1,
    settings: Config | None = None,
) -> AsyncIterator[Fleet]:
    """Start the servers and the processes; return when all are ready and the tenant exists."""
    place = Path(tempfile.mkdtemp(prefix="secaplane-faults-"))
    given = settings or Config()
    given = changed(given, nats=changed(given.nats, replicas=nodes))
    try:
        async with Supervisor(place / "logs") as children:
            dev = DevPlane(given, place, 0, durable=False)
            await children.start(dev.process("cloud"))
            cloud = urlsplit(dev.config.cloud.url)
            assert cloud.port is not None
            async with holding_proxy(HOST, cloud.port) as proxy:
                made = Fleet(
                    dev=dev,
                    children=children,
                    folder=place,
                    cluster=NatsCluster(dev, place) if nodes == len(NODES) else None,
                    cloud=proxy,
                    site=Site(cloud.port, dev.config.cloud.token),
                )
                async with _running(made, counts):
                    yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


@asynccontextmanager
async def _running(made: Fleet, counts: Mapping[str, int]) -> AsyncIterator[None]:
    dev, children = made.dev, made.children
    for server in made.cluster.servers() if made.cluster else [dev.nats_server()]:
        await children.start(server)
    await children.start(await dev.postgres_server())
    names = ["cloud", *[await made.add(name) for name in counts for _ in range(counts[name])]]
    async with asyncio.timeout(READY_S_MAX):
        await asyncio.gather(*(children.ready(name) for name in names))
        await _create_tenant(made)
    async with connected(made.nats("everything").partition(",")[0]) as nats:
        made.log = opened_log(dev.config, nats)
        try:
            yield
        finally:
            await made.site.plugin.close()


async def _create_tenant(made: Fleet) -> None:
    """Through a process that accepts writes; then every process knows its administrator."""
    writes = made.names("serve") or made.names("command")
    await made.dev.create_tenant(made.url(writes[0]))
    path = f"/providers/seca.workspace/v1/tenants/{made.dev.config.dev.tenant}/workspaces"
    for name in (each for process in ("serve", "query") for each in made.names(process)):
        async with made.client(name) as client:
            await client.until(path, lambda answer: answer.status == 200)
    for name in made.names("command"):  # it answers no GET: an invalid PUT shows the rights
        async with made.client(name) as client:
            await until(partial(_may_write, client, f"{path}/-"), f"{name} knows its administrator")


async def _may_write(client: Client, path: str) -> bool:
    return (await client.put(path, {})).status == 422
