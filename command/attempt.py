"""One attempt of a command: load, decide, append. The outcome is a value; `command.handle` acts on
it.

Optimistic concurrency happens here: a decision holds for the position that its context was loaded
at, and the log accepts the event only if that is still the resource's last position.
"""

import time

import msgspec

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.envelope import CommandEnvelope, enveloped, life_of, sealed
from secaplane.command.gather.children import ChildrenReader
from secaplane.command.gather.damage import load_perhaps_damaged
from secaplane.command.gather.load import load
from secaplane.command.gather.related import load_related
from secaplane.command.rules.commands import (
    Close,
    ConfirmDeleted,
    Delete,
    Put,
    ReportStatus,
)
from secaplane.command.rules.context import DecisionContext
from secaplane.command.rules.decide import decide
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.log import LogUnavailable, PrefixExpectation, VersionConflict
from secaplane.kinds import KINDS, children, parents
from secaplane.model.errors import Refusal
from secaplane.model.events import AnyEvent, RecordedEvent
from secaplane.model.evolve import evolve, fold
from secaplane.model.position import Position
from secaplane.model.shape import Resource


class Recorded(msgspec.Struct, frozen=True):
    """The event is in the log."""

    event: AnyEvent
    resource: Resource
    before: Resource | None
    """The living resource that the event was decided on."""

    @property
    def position(self) -> Position:
        return self.resource.position


class NothingToDo(msgspec.Struct, frozen=True):
    """The command is accepted, and changes nothing."""

    resource: Resource | None
    position: Position
    event: None = None


class Stale(msgspec.Struct, frozen=True):
    """Another event was appended first, so the decision does not hold."""


class Unknown(msgspec.Struct, frozen=True):
    """The log gave no answer: the event may have been recorded, or may still arrive."""

    context: DecisionContext
    """The context that was decided on: the event can only come after its position."""


AttemptOutcome = Recorded | NothingToDo | Stale | Unknown


async def attempt(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    reader: ChildrenReader | None,
    deadline: float,
    from_cache: bool = False,
    lost: Unknown | None = None,
) -> AttemptOutcome:
    """Load, decide, append. `lost` is an earlier attempt without an answer; its event is looked up
    in the loaded history before anything is decided again. `deadline` is in monotonic seconds.

    A decision `from_cache` counts only if it makes an event and the log accepts it. Anything else,
    a refusal too, is decided again on the current resource.

    Raises:
        Refusal: the rules refuse the command.
        LogUnavailable, Unavailable: the context could not be loaded.
    """
    # The expectation comes first: what happens after it makes the append fail with VersionConflict.
    expectation = await reader.expectation(deadline) if reader else None
    context = await _loaded(dependencies, envelope, reader, from_cache=from_cache)
    if lost and (recorded := await look_up(dependencies, envelope, lost, context.position)):
        return recorded
    life = life_of(dependencies, context, envelope.command)
    try:
        event = decide(context, envelope.command)
    except Refusal:
        if not from_cache:
            raise
        event = None
    if event is not None:
        event = await sealed(dependencies, context.kind, envelope.command, event, life)
        new_event = enveloped(dependencies, envelope, context, event, life)
        return await _appended(dependencies, context, new_event, expectation, reader, deadline)
    if not from_cache:
        return NothingToDo(context.resource, context.position)
    return await attempt(dependencies, envelope, reader, deadline)


def prepare(
    dependencies: CommandDependencies, envelope: CommandEnvelope
) -> tuple[ChildrenReader | None, bool]:
    """A reader of the children, for a command that ends a parent; and whether the first attempt
    decides on the cached resource, without a question to the log. A report follows a load of the
    same resource; a name that this process never saw is most likely new. Any other resource was
    probably reported on by another process meanwhile."""
    command, ref = envelope.command, envelope.ref
    if isinstance(command, Delete | Close | ConfirmDeleted) and children(KINDS[ref.kind]):
        ask, reached = dependencies.children, dependencies.reached
        terminating = isinstance(command, ConfirmDeleted)
        log = dependencies.log
        return ChildrenReader(log, ask, reached, ref, include_terminating=terminating), False
    if isinstance(command, Put):
        return None, dependencies.cache.cached(ref) is None
    return None, isinstance(command, ReportStatus | ConfirmDeleted)


async def look_up(
    dependencies: CommandDependencies, envelope: CommandEnvelope, lost: Unknown, up_to: Position
) -> Recorded | None:
    """The event of an append that got no answer, found by its request id. If it arrives after
    `up_to`, the next append fails with VersionConflict, and it is looked up again.

    Raises:
        LogUnavailable: the log did not answer.
    """
    before = lost.context
    if up_to == before.position:
        return None
    history = await dependencies.log.read(envelope.ref, after=before.position, up_to=up_to)
    for n, recorded in enumerate(history, start=1):
        if recorded.request == envelope.request:
            resource = fold(history[:n], before.latest)
            assert resource is not None, "an event leaves a resource"
            return Recorded(recorded.event, resource, before.resource)
    return None


async def _loaded(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    reader: ChildrenReader | None,
    *,
    from_cache: bool,
) -> DecisionContext:
    ref, command = envelope.ref, envelope.command
    required = [*parents(ref), *envelope.required] if isinstance(command, Put) else []
    if isinstance(command, Delete | Close):
        context = await load_perhaps_damaged(dependencies.log, dependencies.cache, ref, command)
    else:
        context = await load(dependencies.cache, ref, required=required, from_cache=from_cache)
    inside = reader.children if reader else ()
    return await load_related(
        dependencies, context, command, envelope.policy, inside, from_cache=from_cache
    )


async def _appended(
    dependencies: CommandDependencies,
    context: DecisionContext,
    new_event: NewEvent,
    expectation: PrefixExpectation | None,
    reader: ChildrenReader | None,
    deadline: float,
) -> AttemptOutcome:
    """Append, with the expected position `new_event.previous` (or the expectation for a parent).
    Reports on children do not change the decision about their parent, so that the append is
    repeated with a renewed expectation: otherwise frequent reports would starve it."""
    try:
        while True:
            try:
                dependencies.permitted()
                recorded = await dependencies.log.append(new_event, expectation=expectation)
                return await _stored(dependencies, context, recorded)
            except VersionConflict:
                if reader is None or time.monotonic() > deadline:
                    return Stale()
                expectation = await reader.renewed()
                if expectation is None:
                    return Stale()
    except LogUnavailable:
        return Unknown(context)


async def _stored(
    dependencies: CommandDependencies, context: DecisionContext, recorded: RecordedEvent
) -> Recorded:
    resource = evolve(context.latest, recorded)
    await dependencies.cache.store(resource, before=context.latest)
    return Recorded(recorded.event, resource, context.resource)
