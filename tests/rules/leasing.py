"""Processes with leases on one bucket, in virtual time: every message has a delay and can be lost
in both directions, every process has a clock of its own, can be stopped and can be killed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from random import Random
from typing import TypeVar

from secaplane.eventlog.log import LogUnavailable
from secaplane.reconcilers.leases.bucket import ANSWER_S_MAX, NOTHING, BucketEntry, RevisionConflict
from secaplane.reconcilers.leases.lease import LeaseLost
from secaplane.reconcilers.leases.leases import Leases
from secaplane.reconcilers.leases.partitions import ALL
from secaplane.reconcilers.leases.tenure import Tenure

Answer = TypeVar("Answer")
QUICK_S = 0.002


class Server:
    """The bucket. `loses` and `delay_s` are asked for each message in each direction."""

    def __init__(self) -> None:
        self.entries: dict[str, BucketEntry] = {}
        self.revision = 0
        self.reachable = True
        self.delay_s: Callable[[], float] = lambda: QUICK_S
        self.loses: Callable[[], bool] = lambda: False

    def read(self, key: str) -> BucketEntry:
        return self.entries.get(key, NOTHING)

    def write(self, key: str, value: bytes, after: int) -> int:
        if self.read(key).revision != after:
            raise RevisionConflict(key)
        self.revision += 1
        self.entries[key] = BucketEntry(self.revision, value)
        return self.revision


class SimulatedBucket:
    """One process's connection to the bucket. A request that is delayed takes effect, also after
    the process has given up."""

    def __init__(self, server: Server, process: "Process") -> None:
        self._server, self._process = server, process

    async def read(self, key: str) -> BucketEntry:
        return await self._ask(lambda: self._server.read(key))

    async def write(self, key: str, value: bytes, *, after: int) -> int:
        return await self._ask(lambda: self._server.write(key, value, after))

    async def _ask(self, act: Callable[[], Answer]) -> Answer:
        loop, server = asyncio.get_running_loop(), self._server
        answered: asyncio.Future[Answer] = loop.create_future()

        def arrive() -> None:
            if server.loses() or not server.reachable:
                return
            try:
                answer = act()
            except RevisionConflict as conflict:
                refused = conflict
                loop.call_later(server.delay_s(), lambda: refuse(refused))
            else:
                loop.call_later(server.delay_s(), lambda: deliver(answer))

        def deliver(answer: Answer) -> None:
            if not answered.done() and not server.loses():
                answered.set_result(answer)

        def refuse(conflict: RevisionConflict) -> None:
            if not answered.done() and not server.loses():
                answered.set_exception(conflict)

        await self._process.continued.wait()
        loop.call_later(server.delay_s(), arrive)
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await answered
        except TimeoutError as error:
            raise LogUnavailable("no answer") from error
        finally:
            await self._process.continued.wait()


class Process:
    """One reconcilers process, with a clock that has its own beginning and rate."""

    _numbers = count(1)

    def __init__(
        self,
        server: Server,
        *,
        begin: float = 0.0,
        rate: float = 1.0,
        random: Callable[[], float] | None = None,
    ) -> None:
        self.name = f"p{next(self._numbers)}"
        self.continued = asyncio.Event()
        self.continued.set()
        self._begin, self._rate = begin, rate
        self._ids = count(1)
        self.leases = Leases(
            SimulatedBucket(server, self),
            clock=self.clock,
            new_id=lambda: f"{self.name}-{next(self._ids)}",
            random=random or Random(0).random,
        )
        self.task = asyncio.create_task(self.leases.run())

    def clock(self) -> float:
        return self._begin + self._rate * asyncio.get_running_loop().time()

    def tenure(self, partition: str) -> Tenure | None:
        """The tenure under which a call could be made at this moment."""
        tenure = self.leases._tenures.get(partition)
        try:
            if tenure is not None:
                tenure.require()
        except LeaseLost:
            return None
        return tenure

    def partitions(self) -> set[str]:
        return {each for each in ALL if self.tenure(each) is not None}

    def kill(self) -> None:
        self.task.cancel()

    async def stop(self) -> None:
        """A graceful stop."""
        self.task.cancel()
        await self.leases.leave()


class Region:
    """Several processes, and the check that no partition ever has two holders."""

    def __init__(self, random: Callable[[], float] | None = None) -> None:
        self.server, self._random = Server(), random
        self.processes: list[Process] = []
        self._epochs: defaultdict[str, dict[int, str]] = defaultdict(dict)

    def start(self, *, begin: float = 0.0, rate: float = 1.0) -> Process:
        process = Process(self.server, begin=begin, rate=rate, random=self._random)
        self.processes.append(process)
        return process

    def check(self) -> None:
        for partition in ALL:
            holders = {
                each.name: tenure
                for each in self.processes
                if (tenure := each.tenure(partition)) is not None
            }
            assert len(holders) <= 1, f"{partition} is held by {sorted(holders)}"
            for name, tenure in holders.items():
                epochs = self._epochs[partition]
                assert epochs.setdefault(tenure.fences.epoch, name) == name
                assert tenure.fences.epoch == max(epochs), "an older epoch is in use again"

    async def during(self, seconds: float, step_s: float = 0.05) -> None:
        """Let time pass, and check at every step."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(step_s)
            self.check()

    async def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Seconds until the condition became true, checked at every step."""
        began = asyncio.get_running_loop().time()
        while not condition():
            assert asyncio.get_running_loop().time() < began + seconds, "it does not become true"
            await self.during(0.01, 0.01)
        return asyncio.get_running_loop().time() - began

    def held(self) -> list[int]:
        return [len(each.partitions()) for each in self.processes]

    async def end(self) -> None:
        for each in self.processes:
            each.continued.set()
            each.task.cancel()
        await asyncio.gather(*(each.task for each in self.processes), return_exceptions=True)
