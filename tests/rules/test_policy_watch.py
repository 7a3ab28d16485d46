"""The watch passes each change on to its subscribers, and is fresh only after an answer that is not
outdated."""

from collections.abc import Iterable

import pytest

from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Updated
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource
from secaplane.policy.grants.assignments import PolicyResource
from secaplane.policy.grants.lives import KINDS_OF_LIVES
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.revocations import KINDS_OF_REVOCATION
from secaplane.policy.watch import PolicyWatch
from tests.log.appending import add
from tests.log.lagging import LaggingLog
from tests.log.new_events import IDS, REGION, ROLE, new_event
from tests.positions import nth
from tests.scenario import WEB

REVOCATION = KINDS["revocation"].ref({}, "one")
ASSIGNMENT = KINDS["role-assignment"].ref(IDS, "readers")


class FaultyLog(MemoryLog):
    """Does not answer for some kinds; for others, answers as it was at an earlier time."""

    silent_of: frozenset[str] = frozenset()
    outdated: dict[str, Position]

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.outdated = {}

    async def last_of(self, kind: str) -> Position:
        if kind in self.silent_of:
            raise LogUnavailable
        return self.outdated.get(kind) or await super().last_of(kind)


class OutdatedCache(ResourceCache):
    """Answers with a resource as it was earlier, where there is one."""

    earlier: Resource | None = None

    async def current(self, ref: Ref) -> Resource | None:
        return self.earlier or await super().current(ref)


class Subscriber:
    def __init__(self) -> None:
        self.updates: list[tuple[str, Json, Position]] = []

    def reset(self, revision: Position) -> None:
        self.updates.clear()

    def update(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        self.updates += [(each.ref.name, each.spec, revision) for each in resources]
        assert not list(undecodable)


class Scene:
    def __init__(self) -> None:
        self.log = FaultyLog(REGION)
        self.cache = OutdatedCache(self.log, MemorySnapshots())
        self.watch = PolicyWatch(self.log, self.cache, stale_s=30)
        self.policy, self.revocations = Subscriber(), Subscriber()
        self.watch.subscribe(self.policy, KINDS_OF_POLICY)
        self.watch.subscribe(self.revocations, KINDS_OF_REVOCATION)

    async def write(self, ref: Ref, spec: Json) -> None:
        after = await self.log.last(ref)
        event = Updated(spec=spec) if after else Created(spec=spec)
        await self.log.append(new_event(ref, event, previous=after))


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_each_subscriber_gets_its_own_kinds_once(scene: Scene) -> None:
    await scene.write(ROLE, {"a": 1})
    await scene.write(REVOCATION, {"jti": "x"})
    for _ in range(2):
        await scene.watch.refresh()
    assert scene.policy.updates == [("reader", {"a": 1}, nth(1))]
    assert scene.revocations.updates == [("one", {"jti": "x"}, nth(2))]
    await scene.write(REVOCATION, {"jti": "y"})
    await scene.watch.refresh()
    assert len(scene.policy.updates) == 1
    assert scene.revocations.updates[1:] == [("one", {"jti": "y"}, nth(3))]


@pytest.mark.parametrize("silent_of", ["role", "role-assignment", "revocation"])
async def test_changes_read_before_the_log_fell_silent_are_passed_on_later(
    scene: Scene, silent_of: str
) -> None:
    for ref in (ROLE, ASSIGNMENT, REVOCATION):
        await scene.write(ref, {})
    scene.log.silent_of = frozenset({silent_of})
    with pytest.raises(LogUnavailable):
        await scene.watch.refresh()
    assert not scene.watch.fresh()
    scene.log.silent_of = frozenset()
    await scene.watch.refresh()
    assert scene.watch.fresh()
    assert [name for name, _, _ in scene.policy.updates] == ["reader", "readers"]
    assert [name for name, _, _ in scene.revocations.updates] == ["one"]


# --- outdated answers


async def test_an_answer_older_than_an_earlier_one_is_not_trusted(scene: Scene) -> None:
    """A server that was the leader, and does not know yet that it no longer is."""
    await scene.write(ROLE, {})
    await scene.write(ROLE, {"a": 1})
    await scene.watch.refresh()
    scene.watch._confirmed_at = float("-inf")
    scene.log.outdated = {"role": nth(1)}
    with pytest.raises(LogUnavailable, match="outdated"):
        await scene.watch.refresh()
    assert not scene.watch.fresh()
    scene.log.outdated = {}
    await scene.watch.refresh()
    assert scene.watch.fresh()
    assert [revision for _, _, revision in scene.policy.updates] == [nth(2)]


async def test_an_answer_older_than_a_resource_that_was_read_is_not_trusted(scene: Scene) -> None:
    await scene.write(ROLE, {})
    await scene.write(ROLE, {"a": 1})
    scene.log.outdated = {"role": nth(1)}
    await scene.watch.refresh()  # the role itself is read at its second event
    assert scene.policy.updates == [("reader", {"a": 1}, nth(1))]
    with pytest.raises(LogUnavailable, match="outdated"):
        await scene.watch.refresh()


async def test_a_resource_without_its_newest_events_is_not_passed_on(scene: Scene) -> None:
    await scene.write(ROLE, {})
    await scene.watch.refresh()
    earlier = await scene.cache.current(ROLE)
    await scene.write(ROLE, {"a": 1})
    scene.cache.earlier = earlier
    with pytest.raises(LogUnavailable, match="outdated"):
        await scene.watch.refresh()
    scene.cache.earlier = None
    await scene.watch.refresh()
    assert [spec for _, spec, _ in scene.policy.updates] == [{}, {"a": 1}]


async def test_workspaces_are_followed_for_the_ends_of_their_lives(scene: Scene) -> None:
    lives = Subscriber()
    scene.watch.subscribe(lives, KINDS_OF_LIVES)
    await scene.write(WEB, {"a": 1})
    await scene.watch.refresh()
    assert [name for name, _, _ in lives.updates] == ["web"]
    assert scene.policy.updates == []


def test_the_kinds_of_a_subscriber_are_recorded_by_one_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = MemoryLog(REGION, Streams("SECA", "SECA-GLOBAL"))
    watch = PolicyWatch(log, ResourceCache(log, MemorySnapshots()), stale_s=30)
    watch.subscribe(Subscriber(), KINDS_OF_POLICY)
    monkeypatch.setattr(Streams, "of", lambda self, kind: f"SECA-{kind}")
    with pytest.raises(AssertionError, match="one stream"):
        watch.subscribe(Subscriber(), KINDS_OF_POLICY)


async def test_a_role_that_a_lagging_leader_answers_without_its_last_event_is_asked_for_again() -> (
    None
):
    """The kind's last position and the events up to it are read before the role itself."""
    memory = MemoryLog(REGION)
    lagging = LaggingLog(memory)
    log = MonotonicLog(lagging)
    watch = PolicyWatch(log, LagsBeforeCurrent(log, lagging), stale_s=30)
    policy = Subscriber()
    watch.subscribe(policy, KINDS_OF_POLICY)
    await add(memory, ROLE, Created(spec={}), Updated(spec={"a": 1}))
    await watch.refresh()
    assert policy.updates == [("reader", {"a": 1}, nth(2))]
    assert watch.fresh()


class LagsBeforeCurrent(ResourceCache):
    """The leader is replaced by one that lags, right before a resource is read."""

    def __init__(self, log: Log, lagging: LaggingLog) -> None:
        super().__init__(log, MemorySnapshots())
        self._lagging = lagging

    async def current(self, ref: Ref) -> Resource | None:
        self._lagging.lag()
        return await super().current(ref)
