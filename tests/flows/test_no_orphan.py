"""No living child remains under a terminating or deleted parent, in any race and after any crash.

Two processes race on the real log and the real read model, many times at once: one creates a child,
the other deletes its parent. A third process reports again and again on children of that parent
that are already terminating: that must make no deletion fail. Projector, reconcilers and cloud run.
`SECAPLANE_TEST_TRIALS=10000` runs the long race (four minutes on two cores).
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from asyncpg import Pool

from secaplane.cli.config import Config
from secaplane.cli.settings import DeletionSettings
from secaplane.kinds import KINDS
from secaplane.model.events import Deleted, RecordedEvent
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref
from tests.flows.client import at
from tests.flows.crashing import UNSETTLED, Scene, scene_of, until
from tests.flows.orphans import OrphanCheck
from tests.flows.racer import ACCEPTED
from tests.flows.racing import DIED, RacerProcess, racers
from tests.flows.simulated_site import NETWORK, SMALL, SUBNET
from tests.plane import RunningPlane, shared_plane
from tests.positions import STREAM

TRIALS = int(os.environ.get("SECAPLANE_TEST_TRIALS", "2000"))
TERMINATING = 3
HEAD_START_S, CLOSER = 0.004, 1.05
MEMORY = next((str(place) for place in [Path("/dev/shm")] if place.is_dir()), None)
"""A folder in memory, if there is one: the order of writes matters here, not their durability."""
CROWDED, CROWD = 10, 20
CROWDING_S, CROWDING_S_MAX = 0.5, 60.0
DEATHS, ORPHANS, STAGGER_S = 3, 12, 0.01
REST_S_MAX = 600.0
"""Reconcilers fall behind during the race and need time to catch up."""
CASCADES = {("network", "subnet")}
IN_A_RANGE: Json = NETWORK | {"cidr": {"ipv4": "10.0.0.0/16"}}
TO_AN_ADDRESS: Json = {
    "routes": [{"destinationCidrBlock": "10.9.0.0/16", "targetRef": {"resource": "10.0.0.9"}}]
}
TO_ANOTHER_TABLE = SUBNET | {"routeTableRef": {"resource": "networks/base/route-tables/r"}}
REFUSED, ABSENT = "Conflict", "NotFound"


class Pair(NamedTuple):
    """The kinds of one race: a child, and the parent that contains it."""

    parent: str
    child: str
    cascading_child: str = ""
    """Kind of a child in the parent that the deletion cascades to."""

    @property
    def cascading(self) -> bool:
        return (self.parent, self.child) in CASCADES

    @property
    def allowed_outcomes(self) -> set[tuple[str, str]]:
        """Outcomes of the creation and of the deletion. Both are accepted only if the child came
        first and the deletion cascades to it."""
        child_first = (ACCEPTED, ACCEPTED if self.cascading else REFUSED)
        return {child_first, (REFUSED, ACCEPTED), (ABSENT, ACCEPTED)}


VOLUMES = Pair("workspace", "block-storage")
ADDRESSES = Pair("workspace", "public-ip")
PAIRS = (
    *[VOLUMES] * 6,
    Pair("network", "routing-table"),
    Pair("network", "routing-table", cascading_child="subnet"),
    Pair("network", "subnet"),
)
SPECS: dict[str, Json] = {
    "workspace": {},
    "network": IN_A_RANGE,
    "public-ip": {"version": "IPv4"},
    "block-storage": SMALL,
    "routing-table": TO_AN_ADDRESS,
    "subnet": TO_ANOTHER_TABLE,
}
IDS = {"tenant": "demo", "workspace": "nets"}


def home(kind: str, name: str) -> Ref:
    return KINDS[kind].ref(IDS, name)


def inside(parent: Ref, kind: str, name: str) -> Ref:
    return KINDS[kind].ref({**IDS, parent.kind: parent.name}, name)


@dataclass
class Race:
    """Two racing processes, a third that reports, and the outcome of every trial."""

    one: RacerProcess
    other: RacerProcess
    reporter: RacerProcess
    trials: dict[int, tuple[Pair, tuple[str, str]]] = field(default_factory=dict)
    head_start_s: float = HEAD_START_S
    terminating: dict[int, list[Ref]] = field(default_factory=dict)
    """The resources that the reporter reports on, by lane."""

    async def run(self, lane: int, pair: Pair, trials: Iterator[int]) -> None:
        """Run one trial after the other; a parent that was not deleted is used again."""
        parent: Ref | None = None
        for n in trials:
            random = Random(n)
            if parent is None:
                parent = await self.new_parent(lane, pair, n, random.choice((self.one, self.other)))
            child = inside(parent, pair.child, f"child{n}")
            outcome = await self.trial(n, random, parent, child)
            assert outcome in pair.allowed_outcomes, f"trial {n} of {pair}: {outcome}"
            self.trials[n] = pair, outcome
            if outcome[1] == ACCEPTED:
                await self.release(lane)
                parent = None
            else:
                await self.other.do(child)
        if parent is not None:
            await self.release(lane)

    async def new_parent(self, lane: int, pair: Pair, n: int, racer: RacerProcess) -> Ref:
        """Create a parent with children that are terminating and remain so."""
        parent = home(pair.parent, f"home{n}")
        terminating = [
            inside(parent, pair.child, f"terminating{each}") for each in range(TERMINATING)
        ]
        await racer.do(parent, SPECS[pair.parent])
        await asyncio.gather(*(racer.do(each, SPECS[pair.child]) for each in terminating))
        await asyncio.gather(*(racer.do(each, keep_terminating=True) for each in terminating))
        self.terminating[lane] = terminating
        await self.report()
        if pair.cascading_child:
            await racer.do(
                inside(parent, pair.cascading_child, "cascading"), SPECS[pair.cascading_child]
            )
        return parent

    async def release(self, lane: int) -> None:
        """Stop reporting on the terminating children of that lane, so that they can be removed."""
        terminating = self.terminating.pop(lane)
        await self.report()
        outcomes = await asyncio.gather(*(self.one.send(each) for each in terminating))
        assert {*outcomes} <= {ACCEPTED, ABSENT}

    async def report(self) -> int:
        """Report on the children of all lanes from now on; returns the number of reports so far."""
        return int(await self.reporter.report_on(*chain(*self.terminating.values())))

    async def trial(self, n: int, random: Random, parent: Ref, child: Ref) -> tuple[str, str]:
        """Create the child and delete the parent at once. In every other trial the deletion, which
        takes longer, gets a head start, which is adjusted so that either may win."""
        racers = [self.one, self.other]
        random.shuffle(racers)
        wait_s = n % 2 * random.uniform(0, 2 * self.head_start_s)
        created = racers[0].send(child, SPECS[child.kind], request=f"{n}.create", wait_s=wait_s)
        deleted = racers[1].send(parent, request=f"{n}.delete")
        outcome = await created, await deleted
        if n % 2:
            self.head_start_s *= 1 / CLOSER if outcome[0] in (REFUSED, ABSENT) else CLOSER
        return outcome


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    settings = Config(
        deletion=DeletionSettings(cascades=tuple("/".join(pair) for pair in CASCADES))
    )
    with TemporaryDirectory(dir=MEMORY) as folder, shared_plane(settings, Path(folder)) as made:
        yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        await made.client.made(at("workspace", "nets"), {"spec": {}})
        base = {"network": "base", "workspace": "nets"}
        await made.client.made(at("network", "base", workspace="nets"), {"spec": NETWORK})
        await made.client.made(at("routing-table", "r", **base), {"spec": TO_AN_ADDRESS})
        yield made


async def checked(scene: Scene) -> OrphanCheck:
    """Wait until everything has settled, then check the whole log, and the tables against it."""
    async with scene.pool() as pool:
        await until(lambda: settled(scene, pool), "every resource is settled", seconds=REST_S_MAX)
        rows = await pool.fetch("select kind, path, terminating from resources where not gone")
    check, position, end = OrphanCheck(CASCADES), BEGINNING, await scene.log.end(STREAM)
    following = scene.log.follow(STREAM, after=position)
    while position < end:
        for recorded in await anext(following):
            assert isinstance(recorded, RecordedEvent), recorded
            check.apply(recorded)
            position = recorded.position
    await following.aclose()
    assert check.violations == []
    assert check.without_parent == []
    assert check.orphans == {}
    assert check.terminating == set()
    assert {(*row,) for row in rows} == {(ref.kind, ref.path, False) for ref in check.living}
    return check


async def settled(scene: Scene, pool: Pool) -> bool:
    """True once nothing is unsettled. A resource whose last report came after its deletion is
    deleted again."""
    stuck = "select kind, path from resources where terminating and not gone and not unsettled"
    for kind, path in await pool.fetch(stuck):
        await scene.client.delete(f"{KINDS[kind].provider.base}/{path}")
    end = (await scene.log.end(STREAM)).sequence
    if await pool.fetchval("select min(position) from checkpoints") != end:
        return False
    return not await pool.fetchval(UNSETTLED)


async def test_of_a_childs_creation_and_its_parents_deletion_one_is_refused(
    scene: Scene, own_plane: RunningPlane
) -> None:
    async with racers(own_plane, 3) as (one, other, reporter):
        race, trials = Race(one, other, reporter), iter(range(TRIALS))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for lane, pair in enumerate(PAIRS):
                group.create_task(race.run(lane, pair, trials))
        took_s = time.perf_counter() - began
        reports = await race.report()
    outcomes = Counter(outcome for _, outcome in race.trials.values())
    print(f"{TRIALS} trials in {took_s:.1f} s, {reports / took_s:.0f} reports/s: {outcomes}")
    assert len(race.trials) == TRIALS
    check = await checked(scene)
    for n, (pair, (created, deleted)) in race.trials.items():
        child, parent = check.intents.get(f"{n}.create"), check.intents.get(f"{n}.delete")
        assert (parent is not None) == (deleted == ACCEPTED), n
        if created == ACCEPTED or not pair.cascading:
            assert (child is not None) == (created == ACCEPTED), n
        if child and parent:
            assert pair.cascading, n
            assert child.position < parent.position, n
    print(f"{check.reverted} reverted, settled after {time.perf_counter() - began:.1f} s")


async def test_reports_on_terminating_children_do_not_make_a_deletion_fail(
    scene: Scene, own_plane: RunningPlane
) -> None:
    """All reports concern the contents of one workspace."""
    async with racers(own_plane, 2) as (racer, reporter):
        for n in range(CROWDED):
            parent = home("workspace", f"crowded{n}")
            terminating = [
                inside(parent, "block-storage", f"terminating{each}") for each in range(CROWD)
            ]
            await racer.do(parent, {})
            await asyncio.gather(*(racer.do(each, SMALL) for each in terminating))
            with scene.stopped("reconcilers"):  # or they may have removed all before a report
                deletions = (racer.do(each, keep_terminating=True) for each in terminating)
                await asyncio.gather(*deletions)
                before, began = int(await reporter.report_on(*terminating)), time.perf_counter()
                await reports_are_many(scene, reporter, before, terminating)
            requested = time.perf_counter()
            await racer.do(parent)
            now = time.perf_counter()
            reports = int(await reporter.report_on()) - before
            print(f"{now - requested:.2f} s at {reports / (now - began):.0f} reports/s")
            assert reports > CROWD
            await asyncio.gather(*(racer.send(each) for each in terminating))
    await checked(scene)


async def reports_are_many(
    scene: Scene, reporter: RacerProcess, before: int, terminating: list[Ref]
) -> None:
    reports = 0
    try:
        async with asyncio.timeout(CROWDING_S_MAX):
            while reports <= CROWD:
                await asyncio.sleep(CROWDING_S)
                reports = int(await reporter.report_on(*terminating)) - before
    except TimeoutError as error:
        latest = [await scene.log.latest(each) for each in terminating]
        raise AssertionError(f"{reports} reports; the newest events: {latest}") from error


@pytest.mark.parametrize("when", ["concurrent", "terminating", "gone"])
async def test_an_orphan_of_a_command_that_died_is_reverted(
    scene: Scene, own_plane: RunningPlane, when: str
) -> None:
    """The process is killed after the log acknowledged the child and before it checked the parent
    again, which it had read as living: during the parent's deletion, after it, or once it is
    gone."""
    async with racers(own_plane, DEATHS + 1) as (deleter, *killed):
        outcomes = [
            each
            for n, process in enumerate(killed)
            for each in await leave_orphans(scene, deleter, process, f"{when}{n}", when)
        ]
    counts = Counter(each[2:] for each in outcomes)
    print(f"killed: {counts}")
    check = await checked(scene)
    for parent, child, *outcome in outcomes:
        assert tuple(outcome) in {(DIED, ACCEPTED), (DIED, REFUSED), (REFUSED, ACCEPTED)}
        lives = outcome[1] == REFUSED
        assert (parent in check.living) == (child in check.living) == lives
    if when != "concurrent":
        assert counts == {(DIED, ACCEPTED): len(outcomes)}
        assert check.reverted >= len(outcomes)


async def leave_orphans(
    scene: Scene, deleter: RacerProcess, killed: RacerProcess, name: str, when: str
) -> list[tuple[Ref, Ref, str, str]]:
    """Kill one process in the middle of creations; (parent, child, outcome of the creation, outcome
    of the deletion) for each. No rule of these kinds reads the parent, so the process takes it from
    its cache, also after the deletion."""
    pairs = [VOLUMES, ADDRESSES] * (ORPHANS // 2)
    parents = [home(pair.parent, f"{name}n{n}") for n, pair in enumerate(pairs)]
    children = [inside(p, c.child, "orphan") for p, c in zip(parents, pairs, strict=True)]
    await asyncio.gather(*(killed.do(parent, SPECS[parent.kind]) for parent in parents))
    killed.kill_after(len(children))
    deleting = [deleter.send(parent) for parent in parents]
    if when != "concurrent":
        await asyncio.gather(*deleting)
    if when == "gone":
        await until(lambda: are_gone(scene, parents), "the parents are gone")
    creating = [
        killed.send(child, SPECS[child.kind], wait_s=n * STAGGER_S if when == "concurrent" else 0.0)
        for n, child in enumerate(children)
    ]
    deleted, created = await asyncio.gather(*deleting), await asyncio.gather(*creating)
    assert await killed.process.wait() == -signal.SIGKILL
    return [*zip(parents, children, created, deleted, strict=True)]


async def are_gone(scene: Scene, refs: list[Ref]) -> bool:
    latest = [await scene.log.latest(ref) for ref in refs]
    return all(each is not None and isinstance(each.event, Deleted) for each in latest)
