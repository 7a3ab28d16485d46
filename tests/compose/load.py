"""Clients that write and read while the layout is under repair, and what they were promised."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

import aiohttp

from tests.compose.shell import Failed

STORAGE = "/providers/seca.storage/v1/tenants/demo/workspaces/load/block-storages"
WORKSPACE = "/providers/seca.workspace/v1/tenants/demo/workspaces/load"
WRITERS, READERS = 4, 4
PAUSE_S = 0.02
REQUEST_S_MAX = 30.0
RECOVERED_S_MAX = 120.0
SETTLED_S_MAX = 300.0
PARALLEL = 8
REASON_MAX = 80
SKU = {"resource": "skus/RD500"}
SPEEDS = 40
"""Sizes that the writers use in turn."""


class Gap(NamedTuple):
    seconds: float
    until: str
    """The time of day."""


@dataclass
class Promises:
    """Accepted writes, and the counts of all answers, as the clients saw them."""

    accepted: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    """The longest time without success, by method."""


class Load:
    """Writers and readers in a thread of their own, inside `with`."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.promises = Promises()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            await _until_accepted(session, f"{self._url}{WORKSPACE}", {"spec": {}})
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    group.create_task(self._write(session, number))
                for number in range(READERS):
                    group.create_task(self._read(session, number))

    async def _write(self, session: aiohttp.ClientSession, number: int) -> None:
        turn, last = 0, time.monotonic()
        while not self._stop.is_set():
            name, size = f"w{number}-{turn // 2}", 1 + turn % SPEEDS
            body = {"spec": {"sizeGB": size, "skuRef": SKU}}
            status = await _status(session, "PUT", f"{self._url}{STORAGE}/{name}", body)
            self.promises.answers[f"PUT {status}"] += 1
            if status in ("200", "201"):
                self.promises.accepted[name] = size
                turn, last = turn + 1, self._succeeded("PUT", last)
            elif status[0] == "4":
                self.promises.wrong.append(f"PUT {name}: {status}")
                turn += 1
            await asyncio.sleep(PAUSE_S)

    async def _read(self, session: aiohttp.ClientSession, number: int) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            known = list(self.promises.accepted)
            path = f"{STORAGE}/{known[-1 - number % len(known)]}" if known else WORKSPACE
            status = await _status(session, "GET", f"{self._url}{path}")
            self.promises.answers[f"GET {status}"] += 1
            if status == "200":
                last = self._succeeded("GET", last)
            elif status[0] == "4":
                self.promises.wrong.append(f"GET {path}: {status}")
            await asyncio.sleep(PAUSE_S)

    def _succeeded(self, method: str, last: float) -> float:
        """Notes the time since the last success; returns the present time."""
        now = time.monotonic()
        gap = Gap(now - last, time.strftime("%H:%M:%S"))
        self.promises.gaps[method] = max(gap, self.promises.gaps.get(method, gap))
        return now

    def gaps(self) -> str:
        """The longest times without an accepted write and without an answered read, since the last
        call."""
        found, self.promises.gaps = self.promises.gaps, {}
        return "; ".join(
            f"longest without a successful {method} {gap.seconds:.1f} s, until {gap.until}"
            for method, gap in sorted(found.items())
        )

    def verify(self) -> None:
        """Asks for every accepted write, until all are there and settled.

        Raises:
            Failed: one is lost, was refused meanwhile, or does not settle.
        """
        if self.promises.wrong:
            raise Failed(f"refused although valid: {self.promises.wrong[:10]}")
        asyncio.run(self._verify())

    async def _verify(self) -> None:
        semaphore = asyncio.Semaphore(PARALLEL)
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX)

        async def one(name: str, size: int) -> str:
            async with semaphore:
                return await self._settled(session, name, size)

        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            tasks = [one(name, size) for name, size in self.promises.accepted.items()]
            lost = [each for each in await asyncio.gather(*tasks) if each]
        if lost:
            raise Failed(f"{len(lost)} of {len(tasks)} accepted writes: {lost[:10]}")

    async def _settled(self, session: aiohttp.ClientSession, name: str, size: int) -> str:
        shown: Any = None
        until = time.monotonic() + SETTLED_S_MAX
        while time.monotonic() < until:
            try:
                async with session.get(f"{self._url}{STORAGE}/{name}") as answer:
                    shown = answer.status
                    if answer.status == 404:
                        return f"{name}: 404"
                    if answer.status == 200:
                        found = await answer.json()
                        shown = found["spec"]["sizeGB"], found["status"]["state"]
                        if shown == (size, "active"):
                            return ""
            except (aiohttp.ClientError, TimeoutError) as error:
                shown = repr(error)
            await asyncio.sleep(PAUSE_S * 10)
        return f"{name}: {shown} instead of ({size}, 'active')"


async def _status(session: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> str:
    """The status of the answer, with the detail of a failure, or the name of the error."""
    try:
        async with session.request(method, url, json=body) as answer:
            text = await answer.text()
            detail = text.partition('"detail":"')[2].partition('"')[0]  # without what is unique
            reason = f": {detail[:REASON_MAX]}" if answer.status >= 500 else ""
            return f"{answer.status}{reason}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


async def _until_accepted(session: aiohttp.ClientSession, url: str, body: Any) -> None:
    async with asyncio.timeout(RECOVERED_S_MAX):
        while True:
            if await _status(session, "PUT", url, body) in ("200", "201"):
                return
            await asyncio.sleep(PAUSE_S * 10)
