"""The event that wrote the desired state of a version, in the present life of a resource. It is
found from the newest event backward, so that a version costs as much as what came after it."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from secaplane.eventlog.decoding import as_exception
from secaplane.eventlog.log import Followed, Log, UndecodableEvent
from secaplane.model.errors import HistoryIncomplete, NotFound
from secaplane.model.events import DesiredState, Intent, RecordedEvent
from secaplane.model.position import Position, position
from secaplane.model.shape import Ref, Resource

PART = 1024
"""Sequences of the stream that are looked through first; each earlier part is twice as long."""


class _Step(NamedTuple):
    """One event without its contents: whole lives are looked through."""

    position: Position
    previous: Position
    intent: bool
    writes: bool
    """True for an event that holds a desired state."""


async def desired_by(log: Log, today: Resource, version: int) -> DesiredState:
    """The desired state that a version had; `today` is the newest state, which lives.

    Raises:
        NotFound: the present life has no such version.
        HistoryIncomplete: the log has lost an event between.
        Undecodable, LogUnavailable.
    """
    name = f"{today.ref.kind} {today.ref.name}"
    if version > today.version:
        raise NotFound(f"{name} has no version {version}; its newest one is {today.version}")
    reached, expected, length = today.version, today.position, PART
    while expected >= today.life:
        for each in reversed(await _part(log, today, expected, length)):
            if each.position != expected:
                raise HistoryIncomplete(ref=today.ref)
            if each.writes and reached <= version:
                return await _written(log, today.ref, each.position)
            reached, expected = reached - each.intent, each.previous
            if each.position == today.life:
                raise NotFound(
                    f"{name} has the versions {reached + 1} to {today.version} in this life"
                )
        length *= 2
    raise HistoryIncomplete(ref=today.ref)


async def _part(log: Log, today: Resource, up_to: Position, length: int) -> Sequence[_Step]:
    """The events of the present life up to a position, of a part of the stream."""
    first = max(today.life.sequence, up_to.sequence - length + 1)
    steps = list[_Step]()
    after = position(up_to.stream, first - 1)
    async with aclosing(log.read_batches(today.ref, after=after, up_to=up_to)) as batches:
        async for batch in batches:
            steps += [_step(each) for each in batch]
    return steps


def _step(followed: Followed) -> _Step:
    if isinstance(followed, UndecodableEvent):
        raise as_exception(followed)
    event = followed.event
    return _Step(
        followed.position,
        followed.previous,
        isinstance(event, Intent),
        isinstance(event, DesiredState),
    )


async def _written(log: Log, ref: Ref, at: Position) -> DesiredState:
    (recorded,) = await log.read(ref, after=at.moved(-1), up_to=at)
    return _desired_state(recorded)


def _desired_state(recorded: RecordedEvent) -> DesiredState:
    assert isinstance(recorded.event, DesiredState)
    return recorded.event
