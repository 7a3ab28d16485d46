"""The five-second memory of the resource cache (`ResourceCache.recent`), and what ends it."""

from collections.abc import Callable

import pytest

from secaplane.eventlog import resource_cache
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import RECENT_S, ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, RecordedEvent
from secaplane.model.shape import Ref
from tests.log.new_events import IDS, REGION, new_event

TENANT = KINDS["tenant"].ref({}, IDS["tenant"])


class CountingLog(MemoryLog):
    """Counts the questions about a resource's last event."""

    questions = 0

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        self.questions += 1
        return await super().latest(ref)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Scene:
    """A cache, and a log that other processes append to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log = CountingLog(REGION)
        self.cache = ResourceCache(self.log, MemorySnapshots())

    async def appended_elsewhere(self, *events: AnyEvent) -> None:
        for event in events:
            previous = await self.log.last(TENANT)
            await self.log.append(new_event(TENANT, event, previous=previous))

    async def terminating(self) -> bool | None:
        tenant = await self.cache.recent(TENANT)
        return None if tenant is None else tenant.terminating


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    clock = Clock()
    monkeypatch.setattr(resource_cache, "time", clock)
    return Scene(clock)


async def test_a_tenant_is_asked_for_once_in_five_seconds(scene: Scene) -> None:
    await scene.appended_elsewhere(Created(spec={}))
    for _ in range(3):
        assert await scene.terminating() is False
    assert scene.log.questions == 1
    scene.clock.now += RECENT_S
    assert await scene.terminating() is False
    assert scene.log.questions == 1
    scene.clock.now += 0.001
    assert await scene.terminating() is False
    assert scene.log.questions == 2


async def test_a_deletion_elsewhere_is_seen_after_five_seconds_at_the_latest(scene: Scene) -> None:
    await scene.appended_elsewhere(Created(spec={}))
    assert await scene.terminating() is False
    await scene.appended_elsewhere(DeletionRequested())
    assert await scene.terminating() is False
    scene.clock.now += RECENT_S + 0.001
    assert await scene.terminating() is True


@pytest.mark.parametrize(
    "invalidate",
    [lambda cache: cache.invalidate(TENANT), ResourceCache.invalidate_all],
    ids=["its own event", "missed events"],
)
async def test_a_follower_of_the_log_ends_the_memory(
    scene: Scene, invalidate: Callable[[ResourceCache], None]
) -> None:
    await scene.appended_elsewhere(Created(spec={}))
    assert await scene.terminating() is False
    await scene.appended_elsewhere(DeletionRequested())
    invalidate(scene.cache)
    assert await scene.terminating() is True


async def test_a_current_load_in_this_process_ends_the_memory(scene: Scene) -> None:
    await scene.appended_elsewhere(Created(spec={}))
    assert await scene.terminating() is False
    await scene.appended_elsewhere(DeletionRequested())
    await scene.cache.current(TENANT)
    assert await scene.terminating() is True


CREATED, REQUESTED, DELETED = Created(spec={}), DeletionRequested(), Deleted()


@pytest.mark.parametrize(
    ("events", "afterwards"),
    [
        ((), (CREATED,)),
        ((CREATED, REQUESTED), (DELETED, CREATED)),
        ((CREATED, REQUESTED, DELETED), (CREATED,)),
    ],
    ids=["absent", "terminating", "deleted"],
)
async def test_only_a_living_tenant_is_remembered(
    scene: Scene, events: tuple[AnyEvent, ...], afterwards: tuple[AnyEvent, ...]
) -> None:
    """So a tenant that is created, or created again, can be used at once."""
    await scene.appended_elsewhere(*events)
    for _ in range(2):
        assert await scene.terminating() is not False
        assert scene.cache.recently_read(TENANT) is None
    assert scene.log.questions == 2
    await scene.appended_elsewhere(*afterwards)
    assert await scene.terminating() is False
