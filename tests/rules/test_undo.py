"""Undo restores the desired state of a former version of the present life; secrets stay those of
today, or are those of then."""

from collections.abc import AsyncGenerator, Sequence

import pytest

from secaplane.command.gather import versions
from secaplane.command.gather.versions import desired_by
from secaplane.command.rules.restoring import _with, restored
from secaplane.eventlog.log import Followed
from secaplane.eventlog.memory import MemoryLog
from secaplane.kinds import KINDS
from secaplane.model.errors import HistoryIncomplete, NotFound
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource, State
from tests.log.new_events import REGION, new_event
from tests.positions import nth
from tests.scenario import IDS

DISK, INSTANCE = KINDS["block-storage"], KINDS["instance"]
VOLUME, OTHER = DISK.ref(IDS, "disk"), DISK.ref(IDS, "other")
LIFE = (
    Created(spec={"sizeGB": 1}, labels={"env": "dev"}),
    StatusReported(state=State.ACTIVE, observed_position=nth(1)),
    Updated(spec={"sizeGB": 2}, labels={"env": "dev"}, annotations={"a": "b"}),
    Updated(spec={"sizeGB": 3}),
)
END = (DeletionRequested(), Deleted())


@pytest.fixture(params=[1, 3, 1024])
def part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A life is found in one part of the stream, or in several."""
    monkeypatch.setattr(versions, "PART", request.param)


async def recorded(
    *events: AnyEvent, others: int = 3, log: MemoryLog | None = None
) -> tuple[MemoryLog, Resource]:
    """A volume after these events, with events of another one between them."""
    log, now, other = log or MemoryLog(REGION), None, BEGINNING
    for n, each in enumerate(events):
        for _ in range(others):
            before = other
            event = Updated(spec={}) if before else Created(spec={})
            other = (await log.append(new_event(OTHER, event, previous=before))).position
        uid = f"u{n}" if now is None or isinstance(each, Created) else now.uid
        previous = now.position if now else BEGINNING
        now = evolve(now, await log.append(new_event(VOLUME, each, uid=uid, previous=previous)))
    assert now is not None
    return log, now


async def body(log: MemoryLog, today: Resource, version: int) -> Json:
    return restored(DISK, await desired_by(log, today, version), {})


@pytest.mark.usefixtures("part")
async def test_each_former_version_has_its_desired_state() -> None:
    log, today = await recorded(*LIFE)
    assert {version: await body(log, today, version) for version in (1, 2)} == {
        1: {"labels": {"env": "dev"}, "spec": {"sizeGB": 1}},
        2: {"labels": {"env": "dev"}, "annotations": {"a": "b"}, "spec": {"sizeGB": 2}},
    }


@pytest.mark.usefixtures("part")
async def test_an_action_begins_a_version_that_has_the_desired_state_before_it() -> None:
    action = ActionRequested(action="restart")
    log, today = await recorded(*LIFE[:3], action, action, Updated(spec={"sizeGB": 9}))
    assert [(await body(log, today, version))["spec"] for version in (2, 3, 4)] == [
        {"sizeGB": 2}
    ] * 3


@pytest.mark.usefixtures("part")
async def test_a_former_life_is_never_reached() -> None:
    log, today = await recorded(*LIFE, *END, *LIFE)
    assert today.version == 7
    assert (await body(log, today, 5))["spec"] == {"sizeGB": 1}
    for version in (0, 1, 3, 4):
        with pytest.raises(NotFound) as refused:
            await body(log, today, version)
        assert "versions 5 to 7" in refused.value.detail
    with pytest.raises(NotFound) as refused:
        await body(log, today, 10**18)
    assert "newest one is 7" in refused.value.detail


@pytest.mark.usefixtures("part")
async def test_no_version_is_restored_past_an_event_that_the_log_has_lost() -> None:
    log, today = await recorded(*LIFE)
    log.lose((await log.history(VOLUME))[1].position)
    assert (await body(log, today, 2))["spec"] == {"sizeGB": 2}
    with pytest.raises(HistoryIncomplete):
        await body(log, today, 1)


class CountingLog(MemoryLog):
    """Counts the events that were read."""

    read_events = 0

    async def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        async for batch in super().read_batches(ref, after=after, up_to=up_to):
            self.read_events += len(batch)
            yield batch


async def test_a_recent_version_costs_what_came_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "PART", 4)
    updates = [Updated(spec={"sizeGB": size}) for size in range(2, 1000)]
    log = CountingLog(REGION)
    _, today = await recorded(LIFE[0], *updates, others=0, log=log)
    assert (await body(log, today, today.version - 3))["spec"] == {"sizeGB": 996}
    assert log.read_events <= 8


def test_a_secret_is_that_of_today() -> None:
    then = Updated(spec={"zone": "a", "userData": "sealed:k1:a:b"})
    opened = {"zone": "b", "userData": "in clear"}
    assert restored(INSTANCE, then, opened)["spec"] == {"zone": "a", "userData": "in clear"}
    assert restored(INSTANCE, then, {"zone": "b"})["spec"] == {"zone": "a"}
    assert then.spec["userData"] == "sealed:k1:a:b"


def test_a_secret_in_an_object_is_set_where_the_object_was_absent() -> None:
    assert _with({"a": 1}, "/b/c/d", "x") == {"a": 1, "b": {"c": {"d": "x"}}}
    assert _with({"b": {"e": 1}}, "/b/c", "x") == {"b": {"e": 1, "c": "x"}}
