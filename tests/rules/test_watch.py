"""The watch tells each learner of its kinds, once, and of nothing less when the log falters."""

from collections.abc import Iterable

import pytest

from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Updated
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.assignments import PolicyResource
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.revocations import KINDS_OF_REVOCATION
from secaplane.policy.watch import PolicyWatch
from tests.log.new_events import IDS, REGION, ROLE, new_event
from tests.positions import nth

REVOCATION = KINDS["revocation"].ref({}, "one")
ASSIGNMENT = KINDS["role-assignment"].ref(IDS, "readers")


class Faltering(MemoryLog):
    """Does not answer when it is asked for these kinds."""

    silent_of: frozenset[str] = frozenset()

    async def last_of(self, kind: str) -> Position:
        if kind in self.silent_of:
            raise LogUnavailable
        return await super().last_of(kind)


class Learning:
    def __init__(self) -> None:
        self.told: list[tuple[str, Json, Position]] = []

    def begin(self, revision: Position) -> None:
        self.told.clear()

    def learn(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        unreadable: Iterable[Ref] = (),
    ) -> None:
        self.told += [(each.ref.name, each.spec, revision) for each in resources]
        assert not list(unreadable)


class Scene:
    def __init__(self) -> None:
        self.log = Faltering(REGION)
        self.watch = PolicyWatch(self.log, ResourceCache(self.log, MemorySnapshots()), stale_s=30)
        self.policy, self.revocations = Learning(), Learning()
        self.watch.subscribe(self.policy, KINDS_OF_POLICY)
        self.watch.subscribe(self.revocations, KINDS_OF_REVOCATION)

    async def write(self, ref: Ref, spec: Json) -> None:
        after = await self.log.last(ref)
        event = Updated(spec=spec) if after else Created(spec=spec)
        await self.log.append(new_event(ref, event, previous=after))


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_each_learns_of_its_own_kinds_once(scene: Scene) -> None:
    await scene.write(ROLE, {"a": 1})
    await scene.write(REVOCATION, {"jti": "x"})
    for _ in range(2):
        await scene.watch.refresh()
    assert scene.policy.told == [("reader", {"a": 1}, nth(1))]
    assert scene.revocations.told == [("one", {"jti": "x"}, nth(2))]
    await scene.write(REVOCATION, {"jti": "y"})
    await scene.watch.refresh()
    assert len(scene.policy.told) == 1
    assert scene.revocations.told[1:] == [("one", {"jti": "y"}, nth(3))]


@pytest.mark.parametrize("silent_of", ["role", "role-assignment", "revocation"])
async def test_what_was_found_before_the_log_fell_silent_is_told_later(
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
    assert [name for name, _, _ in scene.policy.told] == ["reader", "readers"]
    assert [name for name, _, _ in scene.revocations.told] == ["one"]
