"""Callers of a fleet under faults: each creates, changes, reads and deletes volumes of its own, and
remembers every write that was accepted."""

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from secaplane.model.shape import Json
from tests.faults.kit.fleet import Fleet
from tests.flows.client import SKU, Answer, Client, at, client_of

RETRY_S, RETRIED_S_MAX = 0.1, 60.0
ASK_S_MAX = 15.0
WRITTEN = (200, 201, 202)
AGAIN = (503,)
"""Statuses that ask the caller to send the request again."""


@dataclass
class Callers:
    """`accepted`: writes, by name of the volume; `stale`: answers older than an accepted write."""

    fleet: Fleet
    workspace: str
    writers: str = "command"
    readers: str = "query"
    accepted: dict[str, int] = field(default_factory=dict)
    """Name -> the size that the newest accepted PUT declared; 0 where it was deleted."""
    unknown: set[str] = field(default_factory=set)
    """Volumes of which a write got no answer."""
    stale: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Answers that are neither an acceptance nor a request to send again."""
    statuses: Counter[str] = field(default_factory=Counter)
    asked: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Name -> every request: when it was sent and answered, which process, and how."""
    _number: int = 0

    async def run(self, width: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        async with client_of("", self.fleet.token) as session, asyncio.TaskGroup() as group:
            for n in range(width):
                group.create_task(self._caller(session, random.Random(n), until))

    async def _caller(self, session: Client, rng: random.Random, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            self._number += 1
            name = f"v{self._number}"
            await self._life(session, rng, name)

    async def _life(self, session: Client, rng: random.Random, name: str) -> None:
        """Create, read, sometimes grow or delete; no two callers use the same name."""
        if not await self._put(session, rng, name, 10):
            return
        await self._read(session, rng, name, 10)
        choice = rng.random()
        if choice < 0.4 and await self._put(session, rng, name, 20):
            await self._read(session, rng, name, 20)
        elif choice < 0.7:
            await self._delete(session, rng, name)

    async def _put(self, session: Client, rng: random.Random, name: str, size: int) -> bool:
        body: Json = {"spec": {"sizeGB": size, "skuRef": SKU}}
        answer = await self._asked(session, rng, "PUT", name, body)
        if answer is None or answer.status not in WRITTEN:
            self.unknown.add(name)
            return False
        self.accepted[name] = size
        return True

    async def _delete(self, session: Client, rng: random.Random, name: str) -> None:
        answer = await self._asked(session, rng, "DELETE", name)
        if answer is not None and answer.status in (*WRITTEN, 404):
            self.accepted[name] = 0
        else:
            self.unknown.add(name)

    async def _read(self, session: Client, rng: random.Random, name: str, size: int) -> None:
        """A GET by name after an accepted write never shows what was before it."""
        answer = await self._asked(session, rng, "GET", name)
        if answer is None:
            return
        if answer.status == 404 or answer.json["spec"]["sizeGB"] < size:
            requests = "\n".join(self.asked[name])
            found = f"{answer.body.decode()} {dict(answer.headers)}"
            self.stale.append(f"{name}: expected {size} GB, {found}\n{requests}")

    async def _asked(
        self, session: Client, rng: random.Random, method: str, name: str, body: object = None
    ) -> Answer | None:
        """Sent again, to any process, while no answer or a 503 comes. Every request of the volume
        may be repeated: a PUT declares, a DELETE of what is gone is 404."""
        path = at("block-storage", name, workspace=self.workspace)
        names = self.fleet.names(self.readers if method == "GET" else self.writers)
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRIED_S_MAX):
                while True:
                    process, sent = rng.choice(names), datetime.now(UTC)
                    client = session.towards(self.fleet.url(process))
                    answer = await self._once(client, method, path, body)
                    status = answer.status if answer else "cut off"
                    ended = f"{datetime.now(UTC):%T.%f}"
                    self.asked[name].append(f"{sent:%T.%f} to {ended} {process}: {method} {status}")
                    if answer is not None and answer.status not in AGAIN:
                        return self._counted(method, name, answer)
                    await asyncio.sleep(RETRY_S)
        self.statuses[f"{method} without an answer"] += 1
        return None

    async def _once(self, client: Client, method: str, path: str, body: object) -> Answer | None:
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(ASK_S_MAX):
                match method:
                    case "PUT":
                        return await client.put(path, body)
                    case "DELETE":
                        return await client.delete(path)
                    case _:
                        return await client.get(path)
        self.statuses[f"{method} cut off"] += 1
        return None

    def _counted(self, method: str, name: str, answer: Answer) -> Answer:
        self.statuses[f"{method} {answer.status}"] += 1
        if answer.status not in (*WRITTEN, 404):
            self.refused.append(f"{method} {name}: {answer.status} {answer.body[:300]!r}")
        return answer
