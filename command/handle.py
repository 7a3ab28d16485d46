"""The one door to the log: look, decide, append. When somebody was faster, look again.

No answer is neither yes nor no: after a time-out the log is read first, and an event that carries
this command's own request id is success. Contention is never a refusal: commands for one resource
take turns within a process, and race against other processes until a deadline.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from command.commands import Command, ConfirmDeleted, Delete, Put, ReportStatus
from command.decide import decide
from command.situation import Situation, look
from eventlog.codec import Page, Unreadable
from eventlog.folds import Folds
from eventlog.log import Guard, Log, Raced, Unanswered
from kinds import KINDS, children, parents
from model.errors import Conflict, Refusal, Unavailable
from model.events import SYSTEM, AnyEvent, By, Created, RecordedEvent
from model.evolve import evolve, fold
from model.shape import NOWHERE, Position, Ref, Resource

CONTENTION_S_MAX = 2.0
INSIDE_S_MAX = 5.0
"""Deleting a parent races with everything that happens in it, so it may try for longer."""
TICK = timedelta(milliseconds=1)


class Turns:
    """Whose turn it is at each resource, within this process: first come, first served."""

    def __init__(self) -> None:
        self._waiting: dict[Ref, deque[asyncio.Future[None]]] = {}

    async def take(self, ref: Ref) -> None:
        """Wait for the turn; whoever took it must `give` it on.

        Raises:
            Unavailable: it did not come in time.
        """
        waiting = self._waiting.get(ref)
        if waiting is None:
            self._waiting[ref] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(CONTENTION_S_MAX):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give(ref)  # it came while we were leaving
            if isinstance(error, TimeoutError):
                raise Unavailable("too many want to change this at once; try again") from error
            raise

    def give(self, ref: Ref) -> None:
        waiting = self._waiting[ref]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[ref]


Inside = Callable[[Ref, bool], Awaitable[Sequence[Ref]]]
"""(parent, also what is going) -> what the read model knows to lie in it."""


@dataclass(frozen=True)
class Door:
    """What `handle` needs: the log, and the world's time, chance and read model, given to it."""

    log: Log
    folds: Folds
    clock: Callable[[], datetime]
    new_uid: Callable[[], str]
    inside: Inside
    reached: Callable[[Position, float], Awaitable[bool]]
    turns: Turns = field(default_factory=Turns)


class Handled(msgspec.Struct, frozen=True):
    """What happened, if anything, and how things are now."""

    event: AnyEvent | None
    resource: Resource | None
    position: Position
    before: Resource | None = None
    """How things were when the command was accepted."""


async def handle(
    door: Door,
    ref: Ref,
    command: Command,
    *,
    by: By,
    request: str,
    cause: Position = NOWHERE,
) -> Handled:
    """Decide one command on one resource, and record the event if there is one.

    `request` must be unique to this command: it is how a lost answer is recognised.

    Raises:
        Refusal: the rules say no, or (Unavailable) nobody can say now, or whether it happened.
    """
    try:
        await door.turns.take(ref)
        try:
            handled = await _decided(door, ref, command, by, request, cause)
        finally:
            door.turns.give(ref)
        if isinstance(handled.event, Created):
            await _refuse_orphan(door, ref, handled, request)
        return handled
    except Unanswered as error:
        raise Unavailable("the log does not answer; try again") from error
    except Unreadable as error:
        raise Conflict(f"the history of {ref.kind} {ref.name} cannot be read: {error}") from error


async def _decided(
    door: Door, ref: Ref, command: Command, by: By, request: str, cause: Position
) -> Handled:
    guarded = isinstance(command, Delete | ConfirmDeleted) and bool(children(KINDS[ref.kind]))
    deadline = time.monotonic() + (INSIDE_S_MAX if guarded else CONTENTION_S_MAX)
    lookout = _Lookout(door, ref, going_too=isinstance(command, ConfirmDeleted))
    if not guarded and _believable(door, ref, command):
        believed = await _at_once(door, ref, command, by, request, cause)
        if believed is not None:
            return believed
    while True:
        guard = await lookout.guard(deadline) if guarded else None
        situation = await look(door.folds, ref, homes=isinstance(command, Put))
        if guarded:
            situation = msgspec.structs.replace(situation, inside=lookout.inside)
        event = decide(situation, command)
        if event is None:
            return Handled(None, situation.resource, situation.position)
        page = _page(door, situation, event, by, request, cause)
        try:
            return await _appended(door, situation, page, guard)
        except (Raced, Unanswered) as failure:
            if mine := await _mine(door, situation, request, failure):
                return mine
            if time.monotonic() > deadline:
                raise _gave_up(failure) from failure


def _believable(door: Door, ref: Ref, command: Command) -> bool:
    """A report follows a look that this process just took; a name never seen here is most likely
    new. Everything else has probably been reported on by another process meanwhile."""
    if isinstance(command, Put):
        return door.folds.known(ref) is None
    return isinstance(command, ReportStatus | ConfirmDeleted)


async def _at_once(
    door: Door, ref: Ref, command: Command, by: By, request: str, cause: Position
) -> Handled | None:
    """Decide on what this process believes. Only an event that the log accepts counts: whatever
    else comes out of it is decided again on a fresh look."""
    situation = await look(door.folds, ref, homes=isinstance(command, Put), believing=True)
    try:
        event = decide(situation, command)
        if event is None:
            return None
        page = _page(door, situation, event, by, request, cause)
        return await _appended(door, situation, page, None)
    except (Refusal, Raced):
        return None
    except Unanswered as failure:
        return await _mine(door, situation, request, failure)


async def _appended(door: Door, situation: Situation, page: Page, guard: Guard | None) -> Handled:
    recorded = await door.log.append(page, after=situation.position, guard=guard)
    resource = evolve(situation.latest, recorded)
    await door.folds.keep(resource, before=situation.latest)
    return Handled(page.event, resource, recorded.position, situation.resource)


def _page(
    door: Door, situation: Situation, event: AnyEvent, by: By, request: str, cause: Position
) -> Page:
    """Event time is the later of the clock and a millisecond after the resource's last event."""
    latest = situation.latest
    now = door.clock()
    uid = door.new_uid() if isinstance(event, Created) or latest is None else latest.uid
    return Page(
        ref=situation.ref,
        uid=uid,
        time=max(now, latest.time + TICK) if latest else now,
        request=request,
        cause=cause,
        by=by,
        event=event,
    )


async def _mine(
    door: Door, situation: Situation, request: str, failure: Exception
) -> Handled | None:
    """Whether the append that got no answer, or lost a race to itself, is in the log after all."""
    try:
        last = await door.log.last(situation.ref)
        history = await door.log.read(situation.ref, after=situation.position, up_to=last)
    except Unanswered as error:
        if isinstance(failure, Raced):
            raise
        raise _gave_up(failure) from error
    for n, recorded in enumerate(history, start=1):
        if recorded.request == request:
            resource = fold(history[:n], situation.latest)
            return Handled(recorded.event, resource, recorded.position, situation.resource)
    return None


def _gave_up(failure: Exception) -> Refusal:
    if isinstance(failure, Raced):
        return Unavailable("the resource keeps changing; try again")
    return Unavailable("the log did not answer, and the outcome is unknown; read, then try again")


async def _refuse_orphan(door: Door, ref: Ref, handled: Handled, request: str) -> None:
    """A parent that was going all the while, or gone: then the child takes itself back."""
    above = [parent for parent in parents(ref) if KINDS[parent.kind].deletable]
    for parent in above:
        found = await door.folds.fresh(parent)
        if found is None or found.going:
            takeback = f"{request}.takeback"
            cause = handled.position
            await _decided(door, ref, Delete(), SYSTEM, takeback, cause)
            raise Conflict(f"{parent.kind} {parent.name} is being deleted")


class _Lookout:
    """What lies in a parent, and the guard under which that stays true.

    The read model is asked once, at a position it has reached; what happened after that is read
    from the log. When the append is raced, only the new tail is read.
    """

    def __init__(self, door: Door, ref: Ref, *, going_too: bool) -> None:
        self._door, self._ref, self._going_too = door, ref, going_too
        self._known_to: Position | None = None
        self.inside: Sequence[Ref] = ()

    async def guard(self, deadline: float) -> Guard:
        while time.monotonic() < deadline:
            if self._known_to is None:
                self._known_to = await self._caught_up(deadline)
            end = await self._door.log.last_within(self._ref)
            tail = await self._door.log.read_within(self._ref, after=self._known_to, up_to=end)
            if self.inside or not any(_began_inside(self._ref, recorded) for recorded in tail):
                self._known_to = end
                return Guard(self._ref, end)
            self._known_to = None
        raise Unavailable(f"too much happens in {self._ref.kind} {self._ref.name}; try again")

    async def _caught_up(self, deadline: float) -> Position:
        last = await self._door.log.last_within(self._ref)
        if not await self._door.reached(last, max(0.0, deadline - time.monotonic())):
            raise Unavailable("the read model is behind; try again")
        self.inside = await self._door.inside(self._ref, self._going_too)
        return last


def _began_inside(parent: Ref, recorded: RecordedEvent) -> bool:
    return recorded.ref != parent and isinstance(recorded.event, Created)
