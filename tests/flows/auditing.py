"""A control plane of its own without reconcilers, and its security audit stream."""

import asyncio
import os
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
    house: DevPlane
    children: Supervisor
    client: Client
    """The administrator of the tenant."""

    def by(self, sub: str) -> Client:
        return self.client.by(self.house.token(sub))

    async def entries(self) -> list[Entry]:
        async with connected(self.house.nats("everything")) as nats:
            stream = AuditStream(nats, stream=STREAM)
            return [decode(each) async for each in stream.read()]

    async def settled(self) -> list[Entry]:
        """The stored entries, when none is pending."""
        await self.until(lambda ready: bool(ready["details"]["audit"]["pending"] == 0))
        return await self.entries()

    async def until(self, so: Callable[[Any], bool]) -> None:
        """Wait for a condition of the readiness."""
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
        found: dict[str, int] = (await self.ready())["details"]["audit"]
        return found

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/readyz", token=None)).json
        return found

    async def shown(self, *arguments: str) -> tuple[int, list[str], str]:
        """The exit code, output and errors of `secaplane audit entries`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "secaplane.cli.main",
            "audit",
            "entries",
            *arguments,
            env={
                "SECAPLANE_NATS_URL": self.house.nats("everything"),
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            },
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
            house = DevPlane(config, Path(folder), 0, lasting=False)
            await children.start(house.nats_server())
            for name in PROCESSES:
                await children.start(house.process(name))
            await children.start(await house.postgres_server())
            await asyncio.gather(*(children.ready(name) for name in PROCESSES))
            await house.bring_tenant()
            token = house.token(house.config.dev.administrator)
            async with client_of(house.url, token) as client:
                yield Watched(house, children, client)


def of(entries: Sequence[Entry], sort: str, sub: str = "") -> list[Entry]:
    return [each for each in entries if each.type == sort and each.caller.sub == sub]
