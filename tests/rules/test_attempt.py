"""Attempts of a command: optimistic concurrency, retries, and answers that are lost."""

import time

import pytest

from secaplane.command import handle as handling
from secaplane.command.attempt import (
    NothingToDo,
    Recorded,
    Stale,
    Unknown,
    attempt,
)
from secaplane.command.envelope import CommandEnvelope
from secaplane.command.handle import UNKNOWN, CommandResult
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.log import LogUnavailable, PrefixExpectation
from secaplane.model.errors import Forbidden, Invalid, Unavailable
from secaplane.model.events import DeletionRequested, RecordedEvent, Updated
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref
from tests.log.new_events import new_event
from tests.rules.command_scene import ADMINISTERED, DISK, VOLUME, ContendedLog, Scene
from tests.scenario import JANE, at_version

LARGER: Json = VOLUME | {"sizeGB": 20}


class LosingLog(ContendedLog):
    """Answers to the first appends are lost, after the event was recorded or before."""

    recorded_unseen = 0
    never_recorded = 0
    appends = 0

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        self.appends += 1
        if self.never_recorded:
            self.never_recorded -= 1
            raise LogUnavailable("no answer")
        recorded = await super().append(new_event, expectation=expectation)
        if self.recorded_unseen:
            self.recorded_unseen -= 1
            raise LogUnavailable("no answer")
        return recorded


@pytest.fixture
async def scene() -> Scene:
    scene = await Scene(log=LosingLog("eu-1")).given(ADMINISTERED, DISK)
    log_of(scene).appends = 0
    await scene.dependencies.cache.current(DISK)
    return scene


def log_of(scene: Scene) -> LosingLog:
    assert isinstance(scene.log, LosingLog)
    return scene.log


async def tried(
    scene: Scene, command: Command, *, from_cache: bool = False
) -> Recorded | NothingToDo | Stale | Unknown:
    envelope = CommandEnvelope(DISK, command, JANE, "mine", BEGINNING)
    deadline = time.monotonic() + 5
    return await attempt(scene.dependencies, envelope, None, deadline, from_cache)


# --- the outcome of one attempt


async def test_an_accepted_event_is_recorded_at_the_position_it_was_decided_on(
    scene: Scene,
) -> None:
    before = await scene.log.last(DISK)
    outcome = await tried(scene, Put(spec=LARGER))
    assert isinstance(outcome, Recorded)
    assert outcome.event == Updated(spec=LARGER)
    recorded = (await scene.log.read(DISK))[-1]
    assert (recorded.previous, recorded.position) == (before, outcome.position)
    assert outcome.resource == await scene.dependencies.cache.current(DISK)


async def test_a_command_that_changes_nothing_has_no_event(scene: Scene) -> None:
    await scene.recorded(DISK, DeletionRequested(), tenant="u1")
    outcome = await tried(scene, Delete())
    assert isinstance(outcome, NothingToDo)
    assert (outcome.event, outcome.position) == (None, await scene.log.last(DISK))


async def test_an_event_that_another_process_precedes_is_stale(scene: Scene) -> None:
    scene.log.faster = new_event(DISK, Updated(spec=VOLUME), request="theirs")
    assert await tried(scene, Put(spec=LARGER)) == Stale()
    assert (await scene.log.read(DISK))[-1].request == "theirs"


async def test_an_append_without_an_answer_is_unknown(scene: Scene) -> None:
    log_of(scene).never_recorded = 1
    outcome = await tried(scene, Put(spec=LARGER))
    assert isinstance(outcome, Unknown)
    assert outcome.context.position == await scene.log.last(DISK)


async def test_a_refusal_on_the_cached_resource_is_decided_again_on_the_current_one(
    scene: Scene,
) -> None:
    await scene.recorded(DISK, Updated(spec=VOLUME), tenant="u1")
    outcome = await tried(scene, Put(spec=LARGER, precondition=at_version(2)), from_cache=True)
    assert isinstance(outcome, Recorded)
    with pytest.raises(Invalid):
        await tried(scene, Put(spec=VOLUME), from_cache=True)


# --- retries, and answers that are lost


async def test_a_version_conflict_is_retried(scene: Scene) -> None:
    scene.log.faster = new_event(DISK, Updated(spec=VOLUME), request="theirs")
    result = await scene.handled(DISK, Put(spec=LARGER))
    assert result.event == Updated(spec=LARGER)
    assert [each.request for each in await scene.log.read(DISK)][1:] == ["theirs", "mine"]


@pytest.mark.parametrize(("unseen", "appends"), [(1, 1), (0, 2)])
async def test_a_lost_answer_is_looked_up_before_the_command_is_decided_again(
    scene: Scene, unseen: int, appends: int
) -> None:
    log_of(scene).recorded_unseen, log_of(scene).never_recorded = unseen, 1 - unseen
    result = await scene.handled(DISK, Put(spec=LARGER))
    assert isinstance(result, Recorded)
    assert result.event == Updated(spec=LARGER)
    assert result.before is not None
    assert (result.before.spec, result.resource.spec) == (VOLUME, LARGER)
    assert [each.request for each in await scene.log.read(DISK)][1:] == ["mine"]
    assert log_of(scene).appends == appends


async def test_an_event_whose_answer_was_lost_is_found_among_later_ones(scene: Scene) -> None:
    log_of(scene).recorded_unseen = 1
    outcome = await tried(scene, Put(spec=LARGER))
    assert isinstance(outcome, Unknown)
    await scene.recorded(DISK, DeletionRequested(), tenant="u1")
    envelope = CommandEnvelope(DISK, Put(spec=LARGER), JANE, "mine", BEGINNING)
    again = await attempt(scene.dependencies, envelope, None, time.monotonic() + 5, lost=outcome)
    assert isinstance(again, Recorded)
    assert again.resource.deleted_at is None
    assert again.position < await scene.log.last(DISK)


@pytest.mark.parametrize(
    ("fault", "detail"),
    [("conflict", "the resource keeps changing"), ("lost", UNKNOWN)],
)
async def test_at_the_deadline_a_command_is_unavailable(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: str, detail: str
) -> None:
    monkeypatch.setattr(handling, "RETRY_S_MAX", -1.0)
    if fault == "conflict":
        scene.log.faster = new_event(DISK, Updated(spec=VOLUME))
    else:
        log_of(scene).never_recorded = 1
    with pytest.raises(Unavailable, match=detail):
        await scene.handled(DISK, Put(spec=LARGER))


async def test_a_lost_answer_is_looked_up_at_the_deadline_too(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "RETRY_S_MAX", -1.0)
    log_of(scene).recorded_unseen = 1
    result: CommandResult = await scene.handled(DISK, Put(spec=LARGER))
    assert result.event == Updated(spec=LARGER)


# --- the caller's rights are gathered before the decision


class Escalating:
    """A policy that finds one permission too many in every PUT, and counts the questions."""

    def __init__(self) -> None:
        self.specs: list[tuple[Json | None, Json]] = []

    def may_get(self, ref: Ref) -> bool:
        return True

    async def excess(self, ref: Ref, old: Json | None, new: Json) -> str:
        self.specs.append((old, new))
        return "put on seca.storage *"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [(Put(spec=LARGER), Forbidden), (Put(spec=LARGER | {"skuRef": {"resource": "x"}}), Invalid)],
)
async def test_an_escalation_is_refused_after_every_other_rule(
    scene: Scene, command: Put, refusal: type[Exception]
) -> None:
    policy = Escalating()
    envelope = CommandEnvelope(DISK, command, JANE, "mine", BEGINNING, policy)
    with pytest.raises(refusal):
        await attempt(scene.dependencies, envelope, None, time.monotonic() + 5)
    assert policy.specs == [(VOLUME, command.spec)]
