"""What the rest of the house may ask of the log."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from secaplane.eventlog.codec import NewEvent
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import BEGINNING, Position, Ref


class VersionConflict(Exception):
    """Someone appended first; look again and decide again."""


class LogUnavailable(Exception):
    """The log did not answer. What was asked of it may have happened, or not."""


class PrefixExpectation(msgspec.Struct, frozen=True):
    """An expectation about everything that lies in a resource: nothing after this position."""

    around: Ref
    after: Position


class UndecodableEvent(msgspec.Struct, frozen=True):
    """A place in the log whose event cannot be read: its address is all that is known."""

    ref: Ref
    position: Position
    reason: str


Followed = RecordedEvent | UndecodableEvent


class Log(Protocol):
    async def append(
        self, new_event: NewEvent, *, after: Position, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        """Write one event, provided nothing happened to its resource after `after` (with a guard:
        to anything that lies in `expectation.around` after `expectation.after`).

        Raises:
            Raced: something did happen.
            Unanswered: no answer came; the event may be in the log.
        """
        ...

    async def last(self, ref: Ref) -> Position:
        """The resource's last position as the leader knows it, 0 if it never was.

        Raises:
            Unanswered: the leader did not say.
        """
        ...

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        """The resource's last event as the leader knows it, None if it never was.

        Raises:
            Unanswered: the leader did not say.
            Unreadable: it is no event that this house can read.
        """
        ...

    async def last_within(self, ref: Ref) -> Position:
        """The last position of anything that lies in this resource, itself included."""
        ...

    async def last_of(self, kind: str) -> Position:
        """The last position of any resource of this kind."""
        ...

    async def end(self) -> Position:
        """The last position of all."""
        ...

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        """A resource's history after a position, up to another.

        Raises:
            Unanswered: the log did not answer, or answered with less than `up_to`.
            Unreadable: an event in it cannot be read.
        """
        ...

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[RecordedEvent, ...]:
        """What happened to anything that lies in this resource, itself included."""
        ...

    async def touched(self, kind: str, *, after: Position, up_to: Position) -> frozenset[Ref]:
        """Which resources of this kind something happened to, readable or not."""
        ...

    def follow(self, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        """Everything after a position, in order, in batches of whatever has arrived; without end.
        An empty batch says that nothing came for a while. Positions may skip only where the log
        lost something: the follower checks."""
        ...
