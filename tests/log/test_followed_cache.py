"""A cache that follows the log: `as_of` answers without a question, and never with less than was
followed."""

import asyncio
import random

import pytest

from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.log import PrefixExpectation, UndecodableEvent, VersionConflict
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.model.events import AnyEvent, Closed, Created, Deleted, RecordedEvent, Updated
from secaplane.model.evolve import evolve, fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref
from tests.log.new_events import ONE, REGION, TWO, new_event
from tests.positions import nth
from tests.servers import STREAM

SEEDS, STEPS = 30, 120


class SlowLog(MemoryLog):
    """Other tasks run before each answer, and after it was made."""

    questions = 0

    def __init__(self) -> None:
        super().__init__(REGION)
        self.recorded: list[RecordedEvent] = []

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        recorded = await super().append(new_event, expectation=expectation)
        self.recorded.append(recorded)
        await _sometimes()
        return recorded

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        self.questions += 1
        await _sometimes()
        answer = await super().latest(ref)
        await _sometimes()
        return answer


async def _sometimes() -> None:
    for _ in range(random.randint(0, 3)):
        await asyncio.sleep(0)


class Scene:
    """A cache whose follower is behind the log by as much as a test says."""

    def __init__(self) -> None:
        self.log = SlowLog()
        self.cache = ResourceCache(self.log, MemorySnapshots())
        self.cache.use_followed(STREAM, BEGINNING)
        self.followed = 0

    @property
    def recorded(self) -> list[RecordedEvent]:
        return self.log.recorded

    async def appended_elsewhere(self, ref: Ref, event: AnyEvent) -> None:
        before = [each for each in self.recorded if each.ref == ref]
        previous = before[-1].position if before else BEGINNING
        await self.log.append(new_event(ref, event, previous=previous))

    async def appended_here(self, ref: Ref, event: AnyEvent) -> None:
        """As `command.attempt` does: decided on what is cached, stored after the append."""
        before = self.cache.cached(ref)
        previous = before.position if before else BEGINNING
        try:
            recorded = await self.log.append(new_event(ref, event, previous=previous))
        except VersionConflict:
            return
        await self.cache.store(evolve(before, recorded), before=before)

    def follow(self, number: int = 1) -> None:
        for each in self.recorded[self.followed : self.followed + number]:
            self.cache.advance(each)
            self.followed += 1

    @property
    def position(self) -> Position:
        return self.recorded[self.followed - 1].position if self.followed else BEGINNING


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_was_followed_needs_no_question(scene: Scene) -> None:
    await scene.appended_elsewhere(ONE, Created(spec={"n": 1}))
    await scene.appended_elsewhere(ONE, Updated(spec={"n": 2}))
    scene.follow(2)
    resource = scene.cache.as_of(ONE, nth(2))
    assert resource == fold(scene.recorded)
    assert scene.log.questions == 0


async def test_a_position_that_was_not_followed_yet_is_asked_for(scene: Scene) -> None:
    await scene.appended_elsewhere(ONE, Created(spec={"n": 1}))
    await scene.appended_elsewhere(TWO, Created(spec={"n": 1}))
    scene.follow()
    assert scene.cache.as_of(ONE, nth(1)) is not None
    assert scene.cache.as_of(ONE, nth(2)) is None
    scene.follow()
    assert scene.cache.as_of(ONE, nth(2)) is not None


async def test_nothing_older_than_the_takeover_is_used(scene: Scene) -> None:
    for n in range(3):
        await scene.appended_elsewhere(ONE, Created(spec={}) if n == 0 else Updated(spec={"n": n}))
    scene.cache.stop_using_followed()
    scene.follow(2)
    assert scene.cache.as_of(ONE, nth(1)) is None
    scene.cache.use_followed(STREAM, nth(3))
    assert scene.cache.as_of(ONE, nth(1)) is None
    scene.follow()
    assert scene.cache.as_of(ONE, nth(1)) is not None


async def test_a_process_that_follows_nothing_always_asks(scene: Scene) -> None:
    await scene.appended_elsewhere(ONE, Created(spec={}))
    await scene.cache.current(ONE)
    assert scene.cache.as_of(ONE, BEGINNING) is None
    assert scene.cache.as_of(ONE, nth(1)) is None


async def test_events_that_cannot_be_applied_drop_the_resource(scene: Scene) -> None:
    await scene.appended_elsewhere(ONE, Created(spec={}))
    scene.follow()
    scene.cache.advance(UndecodableEvent(ONE, nth(2), "of a later release"))
    assert scene.cache.as_of(ONE, nth(2)) is None
    scene.cache.advance(_closing(TWO))
    assert scene.cache.as_of(TWO, nth(3)) is None


def _closing(ref: Ref) -> RecordedEvent:
    event = Closed(since=nth(1), version=1)
    return new_event(ref, event, previous=nth(1)).at(nth(3))


async def test_lost_events_drop_everything(scene: Scene) -> None:
    await scene.appended_elsewhere(ONE, Created(spec={}))
    scene.follow()
    scene.cache.invalidate_all()
    assert scene.cache.as_of(ONE, nth(1)) is None


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_it_never_answers_with_less_than_was_followed(seed: int) -> None:
    """Loads, appends of this process and of others, and a follower, in any order."""
    random.seed(seed)
    scene, refs = Scene(), [ONE, TWO]
    async with asyncio.TaskGroup() as group:
        for n in range(STEPS):
            ref = random.choice(refs)
            match random.randint(0, 4):
                case 0:
                    group.create_task(scene.cache.current(ref))
                case 1:
                    group.create_task(scene.appended_here(ref, _next(scene, ref, n)))
                case 2:
                    await scene.appended_elsewhere(ref, _next(scene, ref, n))
                case _:
                    scene.follow(random.randint(1, 3))
            await _sometimes()
            for each in refs:
                _check(scene, each)


def _next(scene: Scene, ref: Ref, n: int) -> AnyEvent:
    before = [each for each in scene.recorded if each.ref == ref]
    if not before or isinstance(before[-1].event, Deleted):
        return Created(spec={"n": n})
    return Deleted() if n % 7 == 0 else Updated(spec={"n": n})


def _check(scene: Scene, ref: Ref) -> None:
    resource = scene.cache.as_of(ref, scene.position)
    if resource is None:
        return
    followed = [each for each in scene.recorded[: scene.followed] if each.ref == ref]
    assert not followed or resource.position >= followed[-1].position
    history = [each for each in scene.recorded if each.ref == ref]
    assert resource == fold([each for each in history if each.position <= resource.position])
