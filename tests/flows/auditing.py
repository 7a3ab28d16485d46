"""A control plane without reconcilers, and the entries of its security audit stream."""

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
from msgspec import UNSET

from secaplane.audit.entries import Entry, decode
from secaplane.audit.stream import AuditStream
from secaplane.cli.config import Config
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from tests.flows.client import Client, client_of
from tests.servers import STREAM, connected

PROCESSES = ("serve", "projector")
CONDITION_S_MAX = 60.0
POLL_S = 0.05


@dataclass(frozen=True)
class AuditedPlane:
    """A running control plane, its administrator as client, and readers of its audit stream."""

    dev: DevPlane
    children: Supervisor
    client: Client
    """The administrator of the tenant."""

    def by(self, sub: str) -> Client:
        return self.client.by(self.dev.token(sub))

    async def entries(self) -> list[Entry]:
        """Without those about starts and stops of processes."""
        return [each for each in await self.every_entry() if each.process is UNSET]

    async def every_entry(self) -> list[Entry]:
        async with connected(self.dev.nats("everything")) as nats:
            stream = AuditStream(nats, stream=STREAM)
            return [decode(each) async for each in stream.read()]

    async def settled(self) -> list[Entry]:
        """Every entry, read when none is pending."""
        await self.until(lambda ready: bool(ready["details"]["audit"]["pending"] == 0))
        return await self.entries()

    async def until(self, condition: Callable[[Any], bool]) -> None:
        """Poll `/readyz` until the condition holds for its body."""
        ready = None
        try:
            async with asyncio.timeout(CONDITION_S_MAX):
                while True:
                    ready = await self.ready()
                    if condition(ready):
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise AssertionError(f"/readyz is still {ready}") from error

    async def figures(self) -> dict[str, int]:
        """The counters of the audit writer, as `/readyz` shows them."""
        counters: dict[str, int] = (await self.ready())["details"]["audit"]
        return counters

    async def ready(self) -> dict[str, Any]:
        """The body of `/readyz`."""
        body: dict[str, Any] = (await self.client.get("/readyz", token=None)).json
        return body

    async def shown(
        self, *arguments: str, action: str = "entries", keyring: bool = True
    ) -> tuple[int, list[str], str]:
        """Run `secaplane audit`: exit status, lines of stdout, stderr. `keyring`: with the one that
        opens events."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "secaplane.cli.main",
            "audit",
            action,
            *arguments,
            env={
                "SECAPLANE_NATS_URL": self.dev.nats("everything"),
                "SECAPLANE_KEYS_KEYRING": self.dev.config.keys.keyring if keyring else "",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await process.communicate()
        return process.returncode or 0, stdout.decode().splitlines(), stderr.decode()


@asynccontextmanager
async def audited_plane(**settings: Any) -> AsyncIterator[AuditedPlane]:
    """Start one with these sections of the configuration."""
    config = msgspec.convert(settings, Config)
    with tempfile.TemporaryDirectory(prefix="secaplane-tests-") as folder:
        async with Supervisor(Path(folder) / "logs") as children:
            dev = DevPlane(config, Path(folder), 0, durable=False)
            await children.start(dev.nats_server())
            for name in PROCESSES:
                await children.start(dev.process(name))
            await children.start(await dev.postgres_server())
            await asyncio.gather(*(children.ready(name) for name in PROCESSES))
            await dev.create_tenant()
            token = dev.token(dev.config.dev.administrator)
            async with client_of(dev.url, token) as client:
                yield AuditedPlane(dev, children, client)


def entries_of(entries: Sequence[Entry], type_: str, sub: str = "") -> list[Entry]:
    return [each for each in entries if each.type == type_ and each.caller.sub == sub]
