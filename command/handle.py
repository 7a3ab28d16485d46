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

from secaplane.command.dependencies import Door
from secaplane.command.gather.children import Lookout
from secaplane.command.gather.load import Rights, Situation, look
from secaplane.command.gather.related import across
from secaplane.command.post_append import second_look
from secaplane.command.rules.commands import Command, ConfirmDeleted, Delete, Put, ReportStatus
from secaplane.command.rules.decide import decide
from secaplane.eventlog.codec import Page
from secaplane.eventlog.log import Guard, Raced, Unanswered
from secaplane.kinds import KINDS, children, parents
from secaplane.model.errors import Refusal, Unavailable
from secaplane.model.events import SYSTEM, AnyEvent, By, Created
from secaplane.model.evolve import evolve, fold
from secaplane.model.shape import NOWHERE, Position, Ref, Resource

CONTENTION_S_MAX = 2.0
INSIDE_S_MAX = 5.0
"""Deleting a parent races with everything that happens in it, so it may try for longer."""
HOUSE = Rights()
TICK = timedelta(milliseconds=1)
UNKNOWN = "the log did not answer, and the outcome is unknown; read it, then try again"


class Handled(msgspec.Struct, frozen=True):
    """What happened, if anything, and how things are now."""

    event: AnyEvent | None
    resource: Resource | None
    position: Position
    before: Resource | None = None
    """How things were when the command was accepted."""


class Wish(msgspec.Struct, frozen=True):
    """A command, and what will be written beside its event."""

    ref: Ref
    command: Command
    by: By
    request: str
    cause: Position
    rights: Rights = HOUSE
    within: Sequence[Ref] = ()


async def handle(
    door: Door,
    ref: Ref,
    command: Command,
    *,
    by: By,
    request: str,
    cause: Position = NOWHERE,
    rights: Rights = HOUSE,
    within: Sequence[Ref] = (),
) -> Handled:
    """Decide one command on one resource, and record the event if there is one.

    `request` must be unique to this command: it is how a lost answer is recognised. `rights`
    are the caller's: what the caller may not get is not referred to, nor named. `within` must be
    there for a PUT besides its parents.

    Raises:
        Refusal: the rules say no, or (Unavailable) nobody can say now, or whether it happened.
    """
    wish = Wish(ref, command, by, request, cause, rights, within)
    try:
        await door.turns.take(ref)
        try:
            handled = await _decided(door, wish)
        finally:
            door.turns.give(ref)
    except Unanswered as error:
        raise Unavailable("the log does not answer; try again") from error
    if isinstance(command, Put):
        await _refuse_wrong(door, wish, handled)
    return handled


async def _decided(door: Door, wish: Wish) -> Handled:
    lookout = _lookout(door, wish)
    believing = lookout is None and _believable(door, wish)
    deadline = time.monotonic() + (INSIDE_S_MAX if lookout else CONTENTION_S_MAX)
    doubt: Situation | None = None
    late = False
    while True:
        try:
            watched = None if late else lookout
            guard, situation = await _look(door, wish, watched, deadline, believing)
            mine = await _mine(door, wish, doubt, situation) if doubt else None
        except (Unanswered, Unavailable) as error:
            if doubt:
                raise Unavailable(UNKNOWN) from error
            raise
        if mine:
            return mine
        if late:
            raise Unavailable(UNKNOWN if doubt else "the resource keeps changing; try again")
        event = _event(situation, wish.command, believing)
        if event is None and not believing:
            return Handled(None, situation.resource, situation.position)
        if event is not None:
            try:
                page = _page(door, wish, situation, event)
                return await _appended(door, situation, page, guard, watched, deadline)
            except Raced:
                pass
            except Unanswered:
                doubt = doubt or situation
            late = time.monotonic() > deadline  # but whether it happened is asked all the same
        believing = False


def _lookout(door: Door, wish: Wish) -> Lookout | None:
    """Who ends a parent must know what lies in it."""
    command = wish.command
    if not isinstance(command, Delete | ConfirmDeleted) or not children(KINDS[wish.ref.kind]):
        return None
    going_too = isinstance(command, ConfirmDeleted)
    return Lookout(door.log, door.inside, door.reached, wish.ref, going_too=going_too)


def _believable(door: Door, wish: Wish) -> bool:
    """Whether to try on what this process believes, before asking anybody. A report follows a look
    that was just taken; a name never seen here is most likely new. Everything else has probably
    been reported on by another process meanwhile. Only an event that the log accepts counts:
    whatever else comes out of a belief is decided again on a fresh look."""
    if isinstance(wish.command, Put):
        return door.folds.known(wish.ref) is None
    return isinstance(wish.command, ReportStatus | ConfirmDeleted)


async def _look(
    door: Door, wish: Wish, lookout: Lookout | None, deadline: float, believing: bool
) -> tuple[Guard | None, Situation]:
    """The guard first: what happens between it and the look makes the append lose its race."""
    guard = await lookout.guard(deadline) if lookout else None
    homes = [*parents(wish.ref), *wish.within] if isinstance(wish.command, Put) else []
    situation = await look(door.folds, wish.ref, homes=homes, believing=believing)
    inside = lookout.inside if lookout else ()
    more = await across(door, wish.ref, wish.command, wish.rights, inside, believing=believing)
    return guard, msgspec.structs.replace(situation, site=door.site, rights=wish.rights, **more)


def _event(situation: Situation, command: Command, believing: bool) -> AnyEvent | None:
    try:
        return decide(situation, command)
    except Refusal:
        if believing:
            return None
        raise


async def _mine(door: Door, wish: Wish, before: Situation, now: Situation) -> Handled | None:
    """Whether the append that got no answer is in the log after all. What lands after this look is
    no danger: it makes the next append lose its race."""
    if now.position == before.position:
        return None
    history = await door.log.read(wish.ref, after=before.position, up_to=now.position)
    for n, recorded in enumerate(history, start=1):
        if recorded.request == wish.request:
            resource = fold(history[:n], before.latest)
            return Handled(recorded.event, resource, recorded.position, before.resource)
    return None


def _page(door: Door, wish: Wish, situation: Situation, event: AnyEvent) -> Page:
    """Event time is the later of the clock and a millisecond after the resource's last event."""
    latest = situation.latest
    now = door.clock()
    uid = door.new_uid() if isinstance(event, Created) or latest is None else latest.uid
    return Page(
        ref=wish.ref,
        uid=uid,
        time=max(now, latest.time + TICK) if latest else now,
        request=wish.request,
        cause=wish.cause,
        by=wish.by,
        event=event,
    )


async def _appended(
    door: Door,
    situation: Situation,
    page: Page,
    guard: Guard | None,
    lookout: Lookout | None,
    deadline: float,
) -> Handled:
    """What was judged under a guard is not judged again for reports on what lies in there: under a
    load of them, only who is quick wins."""
    while True:
        try:
            recorded = await door.log.append(page, after=situation.position, guard=guard)
        except Raced:
            guard = await lookout.moved() if lookout and time.monotonic() <= deadline else None
            if guard is None:
                raise
        else:
            resource = evolve(situation.latest, recorded)
            await door.folds.keep(resource, before=situation.latest)
            return Handled(page.event, resource, recorded.position, situation.resource)


async def _refuse_wrong(door: Door, wish: Wish, handled: Handled) -> None:
    """What should not have been recorded is taken back, once. If this process dies before it can,
    or nobody can say now, the cloud does not hear of it either: its reconciler looks again."""
    assert handled.resource is not None, "what was put is there"
    try:
        wrong = await second_look(door, handled.before, handled.resource, wish.rights)
        if wrong is None:
            return
        request = f"{wish.request}.takeback"
        await _decided(door, Wish(wish.ref, wrong.taken_back, SYSTEM, request, wrong.cause))
    except Unanswered as error:
        raise Unavailable(UNKNOWN) from error
    raise wrong.refusal
