"""Handling of one command, the only way to write to the log:

1. load the resource and its related resources,
2. decide (pure),
3. append the event with optimistic concurrency (these three are one `command.attempt`),
4. on a version conflict, retry until a deadline: contention is never a refusal,
5. after a lost answer, look up the event by its request id before deciding again.

After the append, `command.post_append` checks what another event may have made wrong meanwhile.
"""

import time
from collections.abc import Sequence

from secaplane.command.attempt import (
    NothingToDo,
    Recorded,
    Stale,
    Unknown,
    attempt,
    look_up,
    prepare,
)
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.envelope import CommandEnvelope
from secaplane.command.gather.rights import CallerPolicy
from secaplane.command.post_append import recheck, recheck_deletion
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.errors import Unavailable
from secaplane.model.events import Closed
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

RETRY_S_MAX = 2.0
PARENT_RETRY_S_MAX = 5.0
"""A command that ends a parent conflicts with every new event below it, so it may retry longer."""
UNKNOWN = "the log did not answer, and the outcome is unknown: read the resource, then try again"
CommandResult = Recorded | NothingToDo


async def handle(
    dependencies: CommandDependencies,
    ref: Ref,
    command: Command,
    *,
    actor: Actor,
    request: str,
    cause: Position = BEGINNING,
    policy: CallerPolicy | None = None,
    required: Sequence[Ref] = (),
) -> CommandResult:
    """Decide one command and record its event, if it has one. `request` is unique to the command.

    Raises:
        Refusal: the rules refuse the command; Unavailable: the outcome is not known.
    """
    envelope = CommandEnvelope(ref, command, actor, request, cause, policy, required)
    try:
        await dependencies.locks.acquire(ref)
        try:
            result = await _recorded(dependencies, envelope)
        finally:
            dependencies.locks.release(ref)
    except LogUnavailable as error:
        raise Unavailable("the log does not answer; try again") from error
    checked = isinstance(command, Put) or (isinstance(command, Delete) and not command.regardless)
    if checked and isinstance(result, Recorded) and not isinstance(result.event, Closed):
        await _revert_violation(dependencies, envelope, result)
    return result


async def _recorded(dependencies: CommandDependencies, envelope: CommandEnvelope) -> CommandResult:
    reader, from_cache = prepare(dependencies, envelope)
    deadline = time.monotonic() + (PARENT_RETRY_S_MAX if reader else RETRY_S_MAX)
    lost: Unknown | None = None
    try:
        while True:
            outcome = await attempt(dependencies, envelope, reader, deadline, from_cache, lost)
            match outcome:
                case Recorded() | NothingToDo():
                    return outcome
                case Unknown():
                    lost = lost or outcome
                case Stale():
                    pass  # another event came first: load and decide again
            from_cache = False
            if time.monotonic() > deadline:
                return await _at_deadline(dependencies, envelope, lost)
    except (LogUnavailable, Unavailable) as error:
        if lost is None:
            raise
        raise Unavailable(UNKNOWN) from error


async def _at_deadline(
    dependencies: CommandDependencies, envelope: CommandEnvelope, lost: Unknown | None
) -> Recorded:
    if lost is None:
        raise Unavailable("the resource keeps changing; try again")
    latest = await dependencies.cache.current(envelope.ref)
    recorded = await look_up(dependencies, envelope, lost, latest.position if latest else BEGINNING)
    if recorded is None:
        raise Unavailable(UNKNOWN)
    return recorded


async def _revert_violation(
    dependencies: CommandDependencies, envelope: CommandEnvelope, result: Recorded
) -> None:
    """Revert, once, a write that broke a rule meanwhile; where it cannot, the reconciler does."""
    check = recheck if isinstance(envelope.command, Put) else recheck_deletion
    try:
        violation = await check(dependencies, result.before, result.resource, envelope.policy)
        if violation is None:
            return
        ref, request = envelope.ref, f"{envelope.request}.revert"
        revert = CommandEnvelope(ref, violation.command, SYSTEM, request, violation.cause)
        await _recorded(dependencies, revert)
    except LogUnavailable as error:
        raise Unavailable(UNKNOWN) from error
    raise violation.refusal
