"""The one door to the log: look, decide, append. When somebody was faster, look again.

No answer is neither yes nor no: after a lost answer every look first asks whether the event is in
the log after all, known by this command's own request id, and that is success. Contention is never
a refusal: commands for one resource take turns within a process, and race against other processes
until a deadline.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.children import ChildrenReader
from secaplane.command.gather.load import CallerRights, DecisionContext, load
from secaplane.command.gather.related import load_related
from secaplane.command.post_append import recheck
from secaplane.command.rules.commands import Command, ConfirmDeleted, Delete, Put, ReportStatus
from secaplane.command.rules.decide import decide
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.log import LogUnavailable, PrefixExpectation, VersionConflict
from secaplane.kinds import KINDS, children, parents
from secaplane.model.errors import Refusal, Unavailable
from secaplane.model.events import SYSTEM, Actor, AnyEvent, Created
from secaplane.model.evolve import evolve, fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource

CONTENTION_S_MAX = 2.0
INSIDE_S_MAX = 5.0
"""Deleting a parent races with everything that happens in it, so it may try for longer."""
UNRESTRICTED = CallerRights()
TICK = timedelta(milliseconds=1)
UNKNOWN = "the log did not answer, and the outcome is unknown; read it, then try again"


class CommandResult(msgspec.Struct, frozen=True):
    """What happened, if anything, and how things are now."""

    event: AnyEvent | None
    resource: Resource | None
    position: Position
    before: Resource | None = None
    """How things were when the command was accepted."""


class CommandEnvelope(msgspec.Struct, frozen=True):
    """A command, and what will be written beside its event."""

    ref: Ref
    command: Command
    actor: Actor
    request: str
    cause: Position
    rights: CallerRights = UNRESTRICTED
    within: Sequence[Ref] = ()


async def handle(
    dependencies: CommandDependencies,
    ref: Ref,
    command: Command,
    *,
    actor: Actor,
    request: str,
    cause: Position = BEGINNING,
    rights: CallerRights = UNRESTRICTED,
    within: Sequence[Ref] = (),
) -> CommandResult:
    """Decide one command on one resource, and record the event if there is one.

    `request` must be unique to this command: it is how a lost answer is recognised. `rights`
    are the caller's: what the caller may not get is not referred to, nor named. `within` must be
    there for a PUT besides its parents.

    Raises:
        Refusal: the rules say no, or (Unavailable) nobody can say now, or whether it happened.
    """
    envelope = CommandEnvelope(ref, command, actor, request, cause, rights, within)
    try:
        await dependencies.locks.acquire(ref)
        try:
            handled = await _decided(dependencies, envelope)
        finally:
            dependencies.locks.release(ref)
    except LogUnavailable as error:
        raise Unavailable("the log does not answer; try again") from error
    if isinstance(command, Put):
        await _refuse_wrong(dependencies, envelope, handled)
    return handled


async def _decided(dependencies: CommandDependencies, envelope: CommandEnvelope) -> CommandResult:
    children_reader = _children_reader(dependencies, envelope)
    from_cache = children_reader is None and _believable(dependencies, envelope)
    deadline = time.monotonic() + (INSIDE_S_MAX if children_reader else CONTENTION_S_MAX)
    doubt: DecisionContext | None = None
    late = False
    while True:
        try:
            watched = None if late else children_reader
            expectation, context = await _look(
                dependencies, envelope, watched, deadline, from_cache
            )
            mine = await _mine(dependencies, envelope, doubt, context) if doubt else None
        except (LogUnavailable, Unavailable) as error:
            if doubt:
                raise Unavailable(UNKNOWN) from error
            raise
        if mine:
            return mine
        if late:
            raise Unavailable(UNKNOWN if doubt else "the resource keeps changing; try again")
        event = _event(context, envelope.command, from_cache)
        if event is None and not from_cache:
            return CommandResult(None, context.resource, context.position)
        if event is not None:
            try:
                new_event = _new_event(dependencies, envelope, context, event)
                return await _appended(
                    dependencies, context, new_event, expectation, watched, deadline
                )
            except VersionConflict:
                pass
            except LogUnavailable:
                doubt = doubt or context
            late = time.monotonic() > deadline  # but whether it happened is asked all the same
        from_cache = False


def _children_reader(
    dependencies: CommandDependencies, envelope: CommandEnvelope
) -> ChildrenReader | None:
    """Who ends a parent must know what lies in it."""
    command = envelope.command
    if not isinstance(command, Delete | ConfirmDeleted) or not children(KINDS[envelope.ref.kind]):
        return None
    include_terminating = isinstance(command, ConfirmDeleted)
    return ChildrenReader(
        dependencies.log,
        dependencies.children,
        dependencies.reached,
        envelope.ref,
        include_terminating=include_terminating,
    )


def _believable(dependencies: CommandDependencies, envelope: CommandEnvelope) -> bool:
    """Whether to try on what this process believes, before asking anybody. A report follows a look
    that was just taken; a name never seen here is most likely new. Everything else has probably
    been reported on by another process meanwhile. Only an event that the log accepts counts:
    whatever else comes out of a belief is decided again on a fresh look."""
    if isinstance(envelope.command, Put):
        return dependencies.cache.cached(envelope.ref) is None
    return isinstance(envelope.command, ReportStatus | ConfirmDeleted)


async def _look(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    children_reader: ChildrenReader | None,
    deadline: float,
    from_cache: bool,
) -> tuple[PrefixExpectation | None, DecisionContext]:
    """The guard first: what happens between it and the look makes the append lose its race."""
    expectation = await children_reader.expectation(deadline) if children_reader else None
    homes = [*parents(envelope.ref), *envelope.within] if isinstance(envelope.command, Put) else []
    context = await load(dependencies.cache, envelope.ref, homes=homes, from_cache=from_cache)
    inside = children_reader.children if children_reader else ()
    more = await load_related(
        dependencies, envelope.ref, envelope.command, envelope.rights, inside, from_cache=from_cache
    )
    return expectation, msgspec.structs.replace(
        context, site=dependencies.site, rights=envelope.rights, **more
    )


def _event(context: DecisionContext, command: Command, from_cache: bool) -> AnyEvent | None:
    try:
        return decide(context, command)
    except Refusal:
        if from_cache:
            return None
        raise


async def _mine(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    before: DecisionContext,
    now: DecisionContext,
) -> CommandResult | None:
    """Whether the append that got no answer is in the log after all. What lands after this look is
    no danger: it makes the next append lose its race."""
    if now.position == before.position:
        return None
    history = await dependencies.log.read(envelope.ref, after=before.position, up_to=now.position)
    for n, recorded in enumerate(history, start=1):
        if recorded.request == envelope.request:
            resource = fold(history[:n], before.latest)
            return CommandResult(recorded.event, resource, recorded.position, before.resource)
    return None


def _new_event(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    context: DecisionContext,
    event: AnyEvent,
) -> NewEvent:
    """Event time is the later of the clock and a millisecond after the resource's last event."""
    latest = context.latest
    now = dependencies.clock()
    if latest is None or isinstance(event, Created):
        uid = dependencies.new_uid()
        tenant = _tenant(context, uid)
    else:
        uid, tenant = latest.uid, latest.tenant
    return NewEvent(
        ref=envelope.ref,
        uid=uid,
        tenant=tenant,
        time=max(now, latest.time + TICK) if latest else now,
        request=envelope.request,
        cause=envelope.cause,
        previous=context.position,
        salt=dependencies.new_salt(),
        actor=envelope.actor,
        event=event,
    )


def _tenant(context: DecisionContext, uid: str) -> str:
    """The uid of the tenant's life that contains a new resource; a tenant contains itself."""
    if context.kind.name == "tenant":
        return uid
    tenants = (parent for ref, parent in context.parents.items() if ref.kind == "tenant")
    tenant = next(tenants, None)
    return tenant.uid if tenant is not None else ""


async def _appended(
    dependencies: CommandDependencies,
    context: DecisionContext,
    new_event: NewEvent,
    expectation: PrefixExpectation | None,
    children_reader: ChildrenReader | None,
    deadline: float,
) -> CommandResult:
    """What was judged under a guard is not judged again for reports on what lies in there: under a
    load of them, only who is quick wins."""
    while True:
        try:
            recorded = await dependencies.log.append(new_event, expectation=expectation)
        except VersionConflict:
            expectation = (
                await children_reader.moved()
                if children_reader and time.monotonic() <= deadline
                else None
            )
            if expectation is None:
                raise
        else:
            resource = evolve(context.latest, recorded)
            await dependencies.cache.store(resource, before=context.latest)
            return CommandResult(new_event.event, resource, recorded.position, context.resource)


async def _refuse_wrong(
    dependencies: CommandDependencies, envelope: CommandEnvelope, handled: CommandResult
) -> None:
    """What should not have been recorded is taken back, once. If this process dies before it can,
    or nobody can say now, the cloud does not hear of it either: its reconciler looks again."""
    assert handled.resource is not None, "what was put is there"
    try:
        wrong = await recheck(dependencies, handled.before, handled.resource, envelope.rights)
        if wrong is None:
            return
        request = f"{envelope.request}.takeback"
        await _decided(
            dependencies,
            CommandEnvelope(envelope.ref, wrong.taken_back, SYSTEM, request, wrong.cause),
        )
    except LogUnavailable as error:
        raise Unavailable(UNKNOWN) from error
    raise wrong.refusal
