"""The intents of a resource that no check after the append has covered yet."""

from collections.abc import Sequence

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.compared import Intent
from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM, Actor, SealedActor
from secaplane.model.events import DeletionRequested, Report, StatusReported, Updated
from secaplane.model.evolve import evolve
from secaplane.model.shape import Resource, State


async def recorded_intent(
    dependencies: CommandDependencies, before: Resource | None, now: Resource
) -> Intent:
    """The intent that made `now` of `before`; with the earlier ones that no report answers yet,
    because their own check may still be on the way.

    Raises:
        LogUnavailable: the log did not answer.
    """
    former: Sequence[Resource | None] = [before]
    unanswered = before is not None and before.observed_position < before.last_intent
    if unanswered and KINDS[now.ref.kind].is_related:
        former = await _unanswered(dependencies, now)
    return Intent(now.ref, now.spec, now.last_intent, former)


async def unanswered_intent(dependencies: CommandDependencies, now: Resource) -> Intent | None:
    """The intents of a resource that no report answers yet; None where there are none, or the last
    one is the control plane's own, which reverts another.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if now.observed_position >= now.last_intent:
        return None
    former: Sequence[Resource | None] = [None]
    if now.last_intent != now.life:
        former = await _unanswered(dependencies, now)
    return Intent(now.ref, now.spec, now.last_intent, former) if former else None


async def _unanswered(dependencies: CommandDependencies, now: Resource) -> list[Resource | None]:
    """The states before the intents that no report answers. An update by the control plane itself
    reverts what came before it, and nothing reverts that again."""
    history = await dependencies.log.read(now.ref, after=now.life.moved(-1), up_to=now.position)
    states, state = list[Resource | None](), None
    for recorded in history:
        if recorded.position > now.last_intent:
            break
        before, state = state, evolve(state, recorded)
        event = recorded.event
        if isinstance(event, Report):
            continue
        reverting = isinstance(event, Updated) and recorded.actor == SYSTEM
        if recorded.position <= now.observed_position or reverting:
            states.clear()
        else:
            states.append(before)
    return states


async def last_active(dependencies: CommandDependencies, now: Resource) -> Resource | None:
    """The resource as its last report of `active` left it; None where there is none in this life.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if not now.was_active:
        return None
    history = await dependencies.log.read(now.ref, after=now.life.moved(-1), up_to=now.position)
    state, active = None, None
    for recorded in history:
        state = evolve(state, recorded)
        if isinstance(recorded.event, StatusReported) and state.state is State.ACTIVE:
            active = state
    return active


async def before_deletion(
    dependencies: CommandDependencies, now: Resource
) -> tuple[Resource | None, Actor | SealedActor]:
    """The state before the deletion of a terminating resource was requested, and by whom.

    Raises:
        LogUnavailable: the log did not answer.
    """
    history = await dependencies.log.read(now.ref, after=now.life.moved(-1), up_to=now.position)
    state: Resource | None = None
    before: Resource | None = None
    actor: Actor | SealedActor = SYSTEM
    for recorded in history:
        if isinstance(recorded.event, DeletionRequested) and (
            state is None or not state.deleted_at
        ):
            before, actor = state, recorded.actor
        state = evolve(state, recorded)
    return before, actor
