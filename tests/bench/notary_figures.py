"""The notary beside a control plane under load: the PUTs that it costs, its CPU for an event, and
the time from an accepted write to its signed checkpoint, and to one that two of three witnesses
have cosigned.

Alone: `python -m tests.bench.notary_figures`.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop

from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.policies import parse_policy
from tests.bench.figures import Figure, figure, table
from tests.bench.http_figures import BODY, put, settled
from tests.bench.load import Load, drive
from tests.bench.processor_time import cpu_seconds
from tests.flows.test_notary_witnesses import HttpWitness, policy_lines
from tests.plane import OWN, RunningPlane, running_plane
from tests.rules.tlog_scene import WITNESSES

CLIENTS, RUN_S, WARM_UP_S, PAIRS = 16, 6.0, 2.0, 8
SAMPLE_S, POLL_S, SIGNED_S_MAX = 0.1, 0.02, 30.0
PARTS = (*OWN, "nats", "postgres")


class Notarized:
    """The files and the process of a notary of a plane."""

    def __init__(self, plane: RunningPlane) -> None:
        self._plane = plane
        self._folder = plane.folder / "notary"
        self._stream = plane.dev.config.nats.stream
        self._process: asyncio.subprocess.Process | None = None
        self._argv = (sys.executable, "-P", "-m", "secaplane.cli.main", "notary")
        self._environment = os.environ | {
            "SECAPLANE_NATS_URL": plane.dev.nats("everything"),
            "SECAPLANE_NOTARY_ORIGIN": "audit.example",
            "SECAPLANE_NOTARY_FOLDER": str(self._folder),
            "SECAPLANE_NOTARY_KEYS": str(plane.folder / "notary-keys"),
            "SECAPLANE_NOTARY_POLICY": "",
        }
        self._config = ("--config", str(plane.folder / "config.json"))
        keys = [*self._argv, "keys", *self._config]
        made = subprocess.run(keys, env=self._environment, capture_output=True, check=True)
        self.logs = made.stdout.decode()

    @asynccontextmanager
    async def running(self, policy: Path | None = None) -> AsyncIterator[None]:
        """The notary runs inside, and has signed everything that was written before."""
        environment = self._environment | (
            {"SECAPLANE_NOTARY_POLICY": str(policy)} if policy else {}
        )
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, *self._config, env=environment
        )
        try:
            async with aiohttp.ClientSession(headers=self._plane.headers) as session:
                await self.until_signed(await self._written(session))
            yield
        finally:
            self._process.terminate()
            await self._process.wait()

    def cpu_s(self) -> float:
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def size(self, name: str = "checkpoint") -> int:
        """The size of the newest checkpoint, 0 before the first."""
        try:
            data = (self._folder / "public" / self._stream / name).read_bytes()
        except FileNotFoundError:
            return 0
        return parse_checkpoint(data).head.size

    async def until_signed(self, sequence: int, name: str = "checkpoint") -> None:
        deadline = time.monotonic() + SIGNED_S_MAX
        while self.size(name) < sequence:
            assert time.monotonic() < deadline, f"{sequence} is in no {name}"
            await asyncio.sleep(POLL_S)

    async def delays_s(self, seconds: float, name: str = "checkpoint") -> list[float]:
        """Times from answers of single PUTs to a checkpoint that has their event."""
        delays, deadline = list[float](), time.monotonic() + seconds
        async with aiohttp.ClientSession(headers=self._plane.headers) as session:
            while time.monotonic() < deadline:
                sequence = await self._written(session)
                began = time.perf_counter()
                await self.until_signed(sequence, name)
                delays.append(time.perf_counter() - began)
                await asyncio.sleep(SAMPLE_S)
        return delays

    async def _written(self, session: aiohttp.ClientSession) -> int:
        """The sequence of a PUT that was just accepted."""
        async with session.put(self._plane.volume("w1", "sampled"), data=BODY) as answer:
            assert answer.status in (200, 201), await answer.text()
            return int(answer.headers["Secaplane-Position"].rpartition(":")[2])


async def measure() -> dict[str, Figure]:
    async with running_plane() as plane, aiohttp.ClientSession(headers=plane.headers) as session:
        for n in range(1, 9):
            await put(session, plane.workspace(f"w{n}"), "{}")
        notary = Notarized(plane)
        await _puts_per_second(plane, "warm", WARM_UP_S)
        without, beside = list[_Without](), list[_Beside]()
        for n in range(PAIRS):
            if n % 2:  # neither is always the first: rates fall while the log grows
                beside.append(await _beside(plane, notary, n))
                without.append(await _without(plane, n))
            else:
                without.append(await _without(plane, n))
                beside.append(await _beside(plane, notary, n))
        cosigned = await _cosigned_s(plane, notary)
        pairs = zip(beside, without, strict=True)
        per_put_s, per_event_s = (
            statistics.median(each.cpu_s for each in runs) for runs in (without, beside)
        )
        return {
            "put_with_notary": figure([one.rate / other.rate for one, other in pairs], "ratio"),
            "checkpoint_s": figure([_p99([d for each in beside for d in each.delays_s])], "s"),
            "cosigned_s": figure([_p99(cosigned)], "s"),
            "notary_cpu": figure([per_event_s / per_put_s], "ratio"),
            "notary_event_us": figure([1e6 * per_event_s], "us"),
        }


class _Without(NamedTuple):
    """PUTs a second, and the CPU of one."""

    rate: float
    cpu_s: float


class _Beside(NamedTuple):
    """PUTs a second beside a notary, its CPU for an event, and the times until a checkpoint."""

    rate: float
    cpu_s: float
    delays_s: Sequence[float]


async def _without(plane: RunningPlane, n: int) -> _Without:
    before = _cpu_s(plane)
    rate = await _puts_per_second(plane, f"without-{n}")
    return _Without(rate, (_cpu_s(plane) - before) / (rate * RUN_S))


async def _beside(plane: RunningPlane, notary: Notarized, n: int) -> _Beside:
    async with notary.running():
        size, spent_s = notary.size(), notary.cpu_s()
        rate, delays = await asyncio.gather(
            _puts_per_second(plane, f"with-{n}"), notary.delays_s(RUN_S)
        )
        return _Beside(rate, (notary.cpu_s() - spent_s) / (notary.size() - size), delays)


async def _puts_per_second(plane: RunningPlane, name: str, seconds: float = RUN_S) -> float:
    """New volumes a second; returns when all are settled."""
    path = "/providers/seca.storage/v1/tenants/bench/workspaces/w{w}/block-storages/"
    load = Load(plane.dev.url, f"{path}{name}-{{n}}", "PUT", plane.headers, BODY, CLIENTS, seconds)
    answered = await asyncio.to_thread(drive, load)
    assert not answered.failed, answered
    await settled(plane)
    return answered.per_second


async def _cosigned_s(plane: RunningPlane, notary: Notarized) -> list[float]:
    """Under the same load, with three witnesses on this machine."""
    with ExitStack() as stack:
        policy = parse_policy(notary.logs + "quorum none\n")
        urls = [stack.enter_context(HttpWitness(each, policy).served()) for each in WITNESSES]
        file = plane.folder / "policy"
        file.write_text(policy_lines(notary.logs, urls))
        async with notary.running(file):
            await notary.until_signed(notary.size(), "cosigned")
            _, found = await asyncio.gather(
                _puts_per_second(plane, "cosigned"), notary.delays_s(RUN_S, "cosigned")
            )
        return found


def _cpu_s(plane: RunningPlane) -> float:
    return sum(cpu_seconds(plane.children.pid(name)) for name in PARTS)


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.99 * len(values)))]


if __name__ == "__main__":
    print(table(uvloop.run(measure())))
