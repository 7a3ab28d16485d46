"""Never a living child under a parent that goes or is gone, however close the race, whoever dies.

Two processes race on the real log and the real read model, many times at once: one creates a child,
the other deletes its parent. A third goes on reporting on children that are going already, in every
parent that is raced for: that must make no delete fail. Projector, reconcilers and cloud are at
work. `SECAPLANE_TEST_TRIALS=10000` runs the long race (four minutes on two cores).
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

from secaplane.cli.config import Config, DeletionSettings
from secaplane.kinds import KINDS
from secaplane.model.events import Deleted, RecordedEvent
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref
from tests.flows.client import at
from tests.flows.crashing import Scene, scene_of, until
from tests.flows.orphans import Judge
from tests.flows.racer import ACCEPTED
from tests.flows.racing import DIED, Racer, racers
from tests.flows.simulated_site import NETWORK, SMALL, SUBNET
from tests.plane import RunningPlane, kept
from tests.positions import STREAM

TRIALS = int(os.environ.get("SECAPLANE_TEST_TRIALS", "2000"))
GOING = 3
HEAD_START_S, CLOSER = 0.004, 1.05
MEMORY = next((str(place) for place in [Path("/dev/shm")] if place.is_dir()), None)
"""This is about order, not about disks: what is written need not outlive the machine."""
CROWDED, CROWD, CROWDING_S = 10, 20, 0.5
DEATHS, LEFT_BEHIND, BESIDE_S = 3, 12, 0.01
REST_S_MAX = 600.0
"""Reconcilers yield to whoever races, and have some catching up to do."""
CASCADES = {("network", "subnet")}
TO_AN_ADDRESS: Json = {
    "routes": [{"destinationCidrBlock": "10.9.0.0/16", "targetRef": {"resource": "10.0.0.9"}}]
}
TO_ANOTHER_TABLE = SUBNET | {"routeTableRef": {"resource": "networks/base/route-tables/r"}}
REFUSED, ABSENT = "Conflict", "NotFound"


class Course(NamedTuple):
    """What is raced for: a child of one kind, in a parent of another."""

    parent: str
    child: str
    lodger: str = ""
    """What lives in the parent and goes with it."""

    @property
    def cascading(self) -> bool:
        return (self.parent, self.child) in CASCADES

    @property
    def fair(self) -> set[tuple[str, str]]:
        """What may become of the child, and of the deletion. Both are accepted only where the
        parent takes along what came first."""
        first = (ACCEPTED, ACCEPTED if self.cascading else REFUSED)
        return {first, (REFUSED, ACCEPTED), (ABSENT, ACCEPTED)}


VOLUMES = Course("workspace", "block-storage")
COURSES = (
    *[VOLUMES] * 6,
    Course("network", "routing-table"),
    Course("network", "routing-table", lodger="subnet"),
    Course("network", "subnet"),
)
SPECS: dict[str, Json] = {
    "workspace": {},
    "network": NETWORK,
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
class Arena:
    """Two who race, one who reports, and what became of every trial."""

    one: Racer
    other: Racer
    bystander: Racer
    trials: dict[int, tuple[Course, tuple[str, str]]] = field(default_factory=dict)
    head_start_s: float = HEAD_START_S
    terminating: dict[int, list[Ref]] = field(default_factory=dict)
    """By lane, what the bystander reports on."""

    async def run(self, lane: int, course: Course, trials: Iterator[int]) -> None:
        """One trial after the other; who was not deleted is raced for again."""
        parent: Ref | None = None
        for n in trials:
            random = Random(n)
            if parent is None:
                parent = await self.furnished(
                    lane, course, n, random.choice((self.one, self.other))
                )
            child = inside(parent, course.child, f"child{n}")
            outcome = await self.trial(n, random, parent, child)
            assert outcome in course.fair, f"trial {n} of {course}: {outcome}"
            self.trials[n] = course, outcome
            if outcome[1] == ACCEPTED:
                await self.leave(lane)
                parent = None
            else:
                await self.other.do(child)
        if parent is not None:
            await self.leave(lane)

    async def furnished(self, lane: int, course: Course, n: int, racer: Racer) -> Ref:
        """A parent, and children in it that are going and stay so."""
        parent = home(course.parent, f"home{n}")
        terminating = [inside(parent, course.child, f"going{each}") for each in range(GOING)]
        await racer.do(parent, SPECS[course.parent])
        await asyncio.gather(*(racer.do(each, SPECS[course.child]) for each in terminating))
        await asyncio.gather(*(racer.do(each, stays=True) for each in terminating))
        self.terminating[lane] = terminating
        await self.watch()
        if course.lodger:
            await racer.do(inside(parent, course.lodger, "lodger"), SPECS[course.lodger])
        return parent

    async def leave(self, lane: int) -> None:
        """Nobody reports on what is going there any more: it may be removed."""
        terminating = self.terminating.pop(lane)
        await self.watch()
        told = await asyncio.gather(*(self.one.send(each) for each in terminating))
        assert {*told} <= {ACCEPTED, ABSENT}

    async def watch(self) -> int:
        """How many reports there were so far."""
        return int(await self.bystander.watch(*chain(*self.terminating.values())))

    async def trial(self, n: int, random: Random, parent: Ref, child: Ref) -> tuple[str, str]:
        """In every other trial the deletion, which has more to do, has a head start: less of it
        when it won the last time, more when it lost, so that the end stays close."""
        pair = [self.one, self.other]
        random.shuffle(pair)
        wait_s = n % 2 * random.uniform(0, 2 * self.head_start_s)
        created = pair[0].send(child, SPECS[child.kind], request=f"{n}.create", wait_s=wait_s)
        deleted = pair[1].send(parent, request=f"{n}.delete")
        outcome = await created, await deleted
        if n % 2:
            self.head_start_s *= 1 / CLOSER if outcome[0] in (REFUSED, ABSENT) else CLOSER
        return outcome


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    settings = Config(
        deletion=DeletionSettings(cascades=tuple("/".join(pair) for pair in CASCADES))
    )
    with TemporaryDirectory(dir=MEMORY) as folder, kept(settings, Path(folder)) as made:
        yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        await made.client.made(at("workspace", "nets"), {"spec": {}})
        base = {"network": "base", "workspace": "nets"}
        await made.client.made(at("network", "base", workspace="nets"), {"spec": NETWORK})
        await made.client.made(at("routing-table", "r", **base), {"spec": TO_AN_ADDRESS})
        yield made


async def judged(scene: Scene) -> Judge:
    """When everything is at rest; the tables know the same as the log."""
    async with scene.pool() as pool:
        await until(lambda: rested(scene, pool), "everything is at rest", seconds=REST_S_MAX)
        rows = await pool.fetch("select kind, path, deleted from resources where not gone")
    judge, position, end = Judge(CASCADES), BEGINNING, await scene.log.end(STREAM)
    following = scene.log.follow(STREAM, after=position)
    while position < end:
        for recorded in await anext(following):
            assert isinstance(recorded, RecordedEvent), recorded
            judge.sees(recorded)
            position = recorded.position
    await following.aclose()
    assert judge.wrongs == []
    assert judge.homeless == []
    assert judge.orphans == {}
    assert judge.terminating == set()
    assert {(*row,) for row in rows} == {(ref.kind, ref.path, False) for ref in judge.living}
    return judge


async def rested(scene: Scene, pool: Pool) -> bool:
    """The last report may have come after the last deletion: then it is deleted once more."""
    stuck = "select kind, path from resources where deleted and not gone and not unfinished"
    for kind, path in await pool.fetch(stuck):
        await scene.client.delete(f"{KINDS[kind].provider.base}/{path}")
    busy = await pool.fetchval("select exists (select from resources where unfinished)")
    checkpoint = await pool.fetchval("select min(position) from checkpoints")
    return not busy and checkpoint == await scene.log.end(STREAM)


async def test_of_a_child_and_its_parents_deletion_one_is_refused(
    scene: Scene, own_plane: RunningPlane
) -> None:
    async with racers(own_plane, 3) as (one, other, bystander):
        arena, trials = Arena(one, other, bystander), iter(range(TRIALS))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for lane, course in enumerate(COURSES):
                group.create_task(arena.run(lane, course, trials))
        took_s = time.perf_counter() - began
        reports = await arena.watch()
    told = Counter(outcome for _, outcome in arena.trials.values())
    print(f"{TRIALS} trials in {took_s:.1f} s, {reports / took_s:.0f} reports/s: {told}")
    assert len(arena.trials) == TRIALS
    judge = await judged(scene)
    for n, (course, (created, deleted)) in arena.trials.items():
        child, parent = judge.intents.get(f"{n}.create"), judge.intents.get(f"{n}.delete")
        assert (parent is not None) == (deleted == ACCEPTED), n
        if created == ACCEPTED or not course.cascading:
            assert (child is not None) == (created == ACCEPTED), n
        if child and parent:
            assert course.cascading, n
            assert child.position < parent.position, n
    print(f"{judge.taken_back} taken back, at rest after {time.perf_counter() - began:.1f} s")


async def test_what_is_going_in_a_parent_makes_no_deletion_fail_however_busy(
    scene: Scene, own_plane: RunningPlane
) -> None:
    """All reports are on what lies in one workspace."""
    async with racers(own_plane, 2) as (racer, bystander):
        for n in range(CROWDED):
            parent = home("workspace", f"crowded{n}")
            terminating = [inside(parent, "block-storage", f"going{each}") for each in range(CROWD)]
            await racer.do(parent, {})
            await asyncio.gather(*(racer.do(each, SMALL) for each in terminating))
            await asyncio.gather(*(racer.do(each, stays=True) for each in terminating))
            before, began = int(await bystander.watch(*terminating)), time.perf_counter()
            await asyncio.sleep(CROWDING_S)
            asked = time.perf_counter()
            await racer.do(parent)
            now = time.perf_counter()
            reports = int(await bystander.watch()) - before
            print(f"{now - asked:.2f} s amid {reports / (now - began):.0f} reports/s")
            assert reports > CROWD
            await asyncio.gather(*(racer.send(each) for each in terminating))
    await judged(scene)


@pytest.mark.parametrize("when", ["beside", "going", "gone"])
async def test_what_a_command_that_died_left_behind_is_taken_back(
    scene: Scene, own_plane: RunningPlane, when: str
) -> None:
    """Killed when the log had acknowledged the child, before it asked again for the parent, which
    it had known to live: while that is deleted, or after that, or when it is gone."""
    async with racers(own_plane, DEATHS + 1) as (deleter, *doomed):
        told = [
            each
            for n, process in enumerate(doomed)
            for each in await left_behind(scene, deleter, process, f"{when}{n}", when)
        ]
    outcomes = Counter(each[2:] for each in told)
    print(f"killed: {outcomes}")
    judge = await judged(scene)
    for parent, child, *outcome in told:
        assert tuple(outcome) in {(DIED, ACCEPTED), (DIED, REFUSED), (REFUSED, ACCEPTED)}
        lives = outcome[1] == REFUSED
        assert (parent in judge.living) == (child in judge.living) == lives
    if when != "beside":
        assert outcomes == {(DIED, ACCEPTED): len(told)}
        assert judge.taken_back >= len(told)


async def left_behind(
    scene: Scene, deleter: Racer, doomed: Racer, name: str, when: str
) -> list[tuple[Ref, Ref, str, str]]:
    """Parents and children, and what was heard of the creation and the deletion."""
    courses = [VOLUMES, Course("network", "routing-table")] * (LEFT_BEHIND // 2)
    parents = [home(course.parent, f"{name}n{n}") for n, course in enumerate(courses)]
    children = [inside(p, c.child, "orphan") for p, c in zip(parents, courses, strict=True)]
    await asyncio.gather(*(doomed.do(parent, SPECS[parent.kind]) for parent in parents))
    doomed.doom(len(children))
    deleting = [deleter.send(parent) for parent in parents]
    if when != "beside":
        await asyncio.gather(*deleting)
    if when == "gone":
        await until(lambda: are_gone(scene, parents), "the parents are gone")
    creating = [
        doomed.send(child, SPECS[child.kind], wait_s=n * BESIDE_S if when == "beside" else 0.0)
        for n, child in enumerate(children)
    ]
    deleted, created = await asyncio.gather(*deleting), await asyncio.gather(*creating)
    assert await doomed.process.wait() == -signal.SIGKILL
    return [*zip(parents, children, created, deleted, strict=True)]


async def are_gone(scene: Scene, refs: list[Ref]) -> bool:
    latest = [await scene.log.latest(ref) for ref in refs]
    return all(each is not None and isinstance(each.event, Deleted) for each in latest)
