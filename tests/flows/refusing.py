"""A house of its own that answers users and works on nothing, and what its second stream holds."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from secaplane.audit.entries import Entry, decode
from secaplane.audit.stream import AuditStream
from secaplane.cli.config import Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from tests.flows.client import Client, client_of
from tests.servers import STREAM, connected

PROCESSES = ("serve", "projector")
KEPT_S_MAX = 60.0
POLL_S = 0.05


@dataclass(frozen=True)
class Watched:
    dev: DevPlane
    children: Supervisor
    client: Client
    """The administrator of the tenant."""

    def by(self, sub: str) -> Client:
        return self.client.by(self.dev.token(sub))

    async def entries(self) -> list[Entry]:
        async with connected(self.dev.nats("everything")) as nats:
            stream = AuditStream(nats, stream=STREAM)
            return [decode(each) async for each in stream.read()]

    async def settled(self) -> list[Entry]:
        """What there is when nothing is on its way any more."""
        await self.until(lambda ready: bool(ready["details"]["refusals"]["waiting"] == 0))
        return await self.entries()

    async def until(self, so: Callable[[Any], bool]) -> None:
        """Readiness says so."""
        ready = None
        try:
            async with asyncio.timeout(KEPT_S_MAX):
                while True:
                    ready = await self.ready()
                    if so(ready):
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise AssertionError(f"readiness stays {ready}") from error

    async def figures(self) -> dict[str, int]:
        """As readiness shows them."""
        found: dict[str, int] = (await self.ready())["details"]["refusals"]
        return found

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/readyz", token=None)).json
        return found

    async def shown(self, *arguments: str) -> tuple[int, list[str], str]:
        """What `secaplane refusals` prints, and complains of."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "secaplane.cli.main",
            "refusals",
            *arguments,
            env={"SECAPLANE_NATS_URL": self.dev.nats("everything")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complaint = await process.communicate()
        return process.returncode or 0, printed.decode().splitlines(), complaint.decode()


@asynccontextmanager
async def watched(**settings: Any) -> AsyncIterator[Watched]:
    """With sections of a configuration."""
    config = msgspec.convert(settings, Config)
    with tempfile.TemporaryDirectory(prefix="secaplane-tests-") as folder:
        async with Supervisor(Path(folder) / "logs") as children:
            dev = DevPlane(config, Path(folder), 0, lasting=False)
            await children.start(dev.nats_server())
            for name in PROCESSES:
                await children.start(dev.process(name))
            await children.start(await dev.postgres_server())
            await asyncio.gather(*(children.ready(name) for name in PROCESSES))
            await dev.bring_tenant()
            token = dev.token(dev.config.dev.administrator)
            async with client_of(dev.url, token) as client:
                yield Watched(dev, children, client)


def of(entries: Sequence[Entry], sort: str, sub: str = "") -> list[Entry]:
    return [each for each in entries if each.type == sort and each.caller.sub == sub]
