"""Control planes for figures and for crashes: own servers and processes, on free ports, in a
temporary folder."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor

OWN = ("cloud", "serve", "projector", "reconcilers")
TENANT = "bench"
T = TypeVar("T")


@dataclass(frozen=True)
class RunningPlane:
    """A running control plane, with the addresses and tokens for its clients."""

    dev: DevPlane
    children: Supervisor
    folder: Path

    @property
    def token(self) -> str:
        return self.dev.token(self.dev.config.dev.administrator)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }

    def volume(self, workspace: str, name: str) -> str:
        path = f"tenants/{TENANT}/workspaces/{workspace}/block-storages/{name}"
        return f"{self.dev.url}/providers/seca.storage/v1/{path}"

    def workspace(self, name: str) -> str:
        return f"{self.dev.url}/providers/seca.workspace/v1/tenants/{TENANT}/workspaces/{name}"

    def rss_mib(self) -> dict[str, float]:
        """Resident memory of each own process."""
        return {name: _rss_mib(self.children.pid(name)) for name in OWN}


VOLUME: dict[str, Any] = {
    "labels": {"env": "prod"},
    "spec": {"sizeGB": 10, "skuRef": {"resource": "skus/bench"}},
}
CATALOGUE = """
zones = ["a"]

[[storage-sku]]
name = "bench"
spec = { iops = 100, type = "remote-durable", minVolumeSize = 1 }
"""


@asynccontextmanager
async def running_plane(
    folder: Path | None = None, settings: Config | None = None
) -> AsyncIterator[RunningPlane]:
    place = folder or Path(tempfile.mkdtemp(prefix="secaplane-bench-"))
    try:
        (place / "catalogue.toml").write_text(CATALOGUE)
        async with Supervisor(place / "logs") as children:
            dev = DevPlane(settings or config(place), place, 0, durable=True)
            await dev.start(children)
            yield RunningPlane(dev, children, place)
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def shared_plane(settings: Config, folder: Path | None = None) -> Iterator[RunningPlane]:
    """A control plane that outlives the event loops of the tests that use it. Its supervisor
    restarts killed processes."""
    with outliving(running_plane(settings=settings)) as made:
        yield made


@contextmanager
def outliving(opened: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enters `opened` on an event loop in a thread of its own, until this context ends."""
    entered: Future[tuple[T, Callable[[], object]]] = Future()

    async def keep() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with opened as made:
            entered.set_result((made, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: asyncio.run(keep()))
        either: tuple[Future[Any], ...] = (entered, running)
        wait(either, return_when=FIRST_COMPLETED)
        if not entered.done():
            running.result()
        made, end = entered.result()
        try:
            yield made
        finally:
            end()
            running.result()


@asynccontextmanager
async def quiet_plane() -> AsyncIterator[RunningPlane]:
    """NATS and the cloud alone: no other process works on the measured resources."""
    place = Path(tempfile.mkdtemp(prefix="secaplane-bench-"))
    try:
        (place / "catalogue.toml").write_text(CATALOGUE)
        async with Supervisor(place / "logs") as children:
            dev = DevPlane(config(place), place, 0, durable=True)
            await children.start(dev.nats_server())
            await children.start(dev.process("cloud"))
            await children.ready("cloud")
            yield RunningPlane(dev, children, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def config(place: Path) -> Config:
    settings = {
        "dev": {"tenant": TENANT},
        "cloud": {"catalogue": str(place / "catalogue.toml")},
    }
    return msgspec.convert(settings, Config)


async def start_seconds(dev: DevPlane, children: Supervisor, names: Sequence[str] = OWN) -> float:
    """Seconds from the start of the first process until all are ready."""
    began = time.perf_counter()
    for name in names:
        await children.start(dev.process(name))
    await asyncio.gather(*(children.ready(name) for name in names))
    return time.perf_counter() - began


def _rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no resident memory")
