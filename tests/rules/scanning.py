"""Scans for drift on virtual time: a log in memory, a cloud that a test dictates, and processes
that hold a part of the addresses each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, cast

from secaplane.kinds import KINDS
from secaplane.model.events import Created, RecordedEvent, StatusReported
from secaplane.model.evolve import fold
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.plugins.plugin import Absent, Fence, Observation, Observed, ToObserve
from secaplane.readmodel.questions.settled import FIRST
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.drift.scan import DriftScan, ScanSettings
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.leases.lease import OwnLease
from secaplane.reconcilers.leases.tenure import Tenure
from tests.rules.command_scene import Scene
from tests.scenario import IDS
from tests.sealing import SEALERS

PAGE = 40
STATUS: Json = {"sizeGB": 10}
CONFIRM_S = 5.0
Hold = Callable[[Ref], bool]


def disk(number: int) -> Ref:
    return KINDS["block-storage"].ref(IDS, f"v{number:04}")


class DictatedCloud:
    """Has every volume as it is recorded, except where `answers` says something else."""

    def __init__(self, at_once: int) -> None:
        self.observes_at_once = at_once
        self.answers: dict[str, Observation | Exception] = {}
        """By uid."""
        self.delay_s = 0.0
        self.failure: Exception | None = None
        """Raised by every call as a whole."""
        self.calls: list[tuple[float, list[str]]] = []
        """The time at which each call began, and the uids that it named."""
        self.under_way = self.under_way_max = 0

    async def observe(self, resource: Resource, _: Fence) -> Observation:
        answer = (await self._called([resource.uid]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def observe_many(self, asked: Sequence[ToObserve]) -> Sequence[Observation | Exception]:
        return await self._called([each.resource.uid for each in asked])

    async def _called(self, uids: list[str]) -> list[Observation | Exception]:
        self.calls.append((asyncio.get_running_loop().time(), uids))
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        return [self.answers.get(uid, Observed(STATUS)) for uid in uids]

    def asked(self, since: float = 0.0) -> list[str]:
        """The uids of all calls, in order."""
        return [uid for at, uids in self.calls if at >= since for uid in uids]


class LogRows:
    """The rows, folded from the log when they are asked."""

    def __init__(self, scene: Scene) -> None:
        self._log = scene.log
        self.failure: Exception | None = None
        self.pages: list[float] = []
        """The times at which a page was read."""

    async def count(self) -> int:
        return len(self._refs())

    async def settled_after(self, ref: Ref) -> Sequence[Ref]:
        self.pages.append(asyncio.get_running_loop().time())
        if self.failure is not None:
            raise self.failure
        return [each for each in self._refs() if each > ref][:PAGE]

    async def resources_at(self, refs: Sequence[Ref]) -> Sequence[Resource]:
        folded = [fold(await self._log.read(ref)) for ref in refs]
        return [each for each in folded if each is not None]

    def _refs(self) -> list[Ref]:
        return sorted(each for each in self._log.refs() if each.kind == "block-storage")


class ScanningProcess:
    """A reconcilers process that holds some of the addresses."""

    _epochs = count(1)

    def __init__(self, plane: "ScannedPlane", holds: Hold) -> None:
        ids = count()
        lease = OwnLease(lambda: 0.0, lambda: str(next(ids)))
        lease.acknowledged(lease.renewal(), 1)
        self.tenures = {
            parity: Tenure(str(parity), next(self._epochs), lease) for parity in (False, True)
        }
        """By the parity of the last digit of the name: two partitions."""
        self.holds, self.busy, self.requeued = holds, set[Ref](), list[Ref]()
        self._dependencies = ReconcileDependencies(
            commands=plane.scene.dependencies,
            plugin=cast(Any, plane.cloud),
            fences=FenceSource(0),
            sealers=SEALERS,
            load_owned=cast(Any, None),
            repaired=frozenset({"block-storage"}),
        )
        self.scan = DriftScan(
            self._dependencies,
            plane.rows,
            plane.settings,
            requeue=self.requeued.append,
            busy=self.busy.__contains__,
            load=plane.load,
            save=plane.save,
            holds=lambda ref: self.holds(ref),
            working=self.working,
        )

    @contextmanager
    def working(self, ref: Ref) -> Iterator[ReconcileDependencies | None]:
        tenure = self.tenures[odd(ref)]
        if not self.holds(ref) or tenure.ended:
            yield None
        else:
            yield self._dependencies.under(tenure, background=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScanningProcess"]:
        task = asyncio.create_task(self.scan.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()


class ScannedPlane:
    """Settled volumes, their cloud, and the cursor that all processes share."""

    def __init__(self, *, at_once: int = 100, per_second: float = 50, round_s: float = 1e6) -> None:
        self.scene, self.cloud = Scene(), DictatedCloud(at_once)
        self.rows = LogRows(self.scene)
        self.settings = ScanSettings(per_second=per_second, round_s=round_s, confirm_s=CONFIRM_S)
        self.cursor = FIRST

    async def having(self, volumes: int) -> "ScannedPlane":
        for number in range(volumes):
            await self.settle(disk(number), f"u{number:04}")
        return self

    async def settle(self, ref: Ref, uid: str) -> None:
        created = Created(spec={"sizeGB": 10})
        await self.scene.recorded(ref, created, uid=uid, tenant="t")
        report = StatusReported(
            state=State.ACTIVE, observed_position=await self.scene.log.last(ref), status=STATUS
        )
        await self.scene.recorded(ref, report, uid=uid, tenant="t")

    def process(self, holds: Hold = lambda ref: True) -> ScanningProcess:
        return ScanningProcess(self, holds)

    async def load(self) -> Ref:
        return self.cursor

    async def save(self, ref: Ref) -> None:
        self.cursor = ref

    async def reported(self, number: int) -> list[RecordedEvent]:
        """The events of a volume after it was settled."""
        return [*(await self.scene.log.read(disk(number)))[2:]]

    async def unreported(self, numbers: Iterable[int]) -> bool:
        return not [event for n in numbers for event in await self.reported(n)]


def odd(ref: Ref) -> bool:
    return int(ref.name[-1]) % 2 == 1


def even(ref: Ref) -> bool:
    return not odd(ref)


GONE = Absent()
