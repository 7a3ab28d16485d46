"""The log's interface: append with optimistic concurrency, read, follow.

One resource is one aggregate is one subject of one stream. A position belongs to one stream; which
stream records a kind is fixed (`eventlog.streams`).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.streams import Streams
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref


class VersionConflict(Exception):
    """Another event was appended first; load and decide again."""


class LogUnavailable(Exception):
    """The log did not answer. An append may have been recorded, or not."""


class OutdatedAnswer(LogUnavailable):
    """The leader answers with less than this process knows of: it lags, or was replaced. Soon it
    has caught up, or another server answers."""


class PrefixExpectation(msgspec.Struct, frozen=True):
    """An expected position for a resource and everything below it: no event after `after`."""

    around: Ref
    after: Position


class UndecodableEvent(msgspec.Struct, frozen=True):
    """An event that this release cannot decode, or whose predecessor is missing: only its address
    and position are known."""

    ref: Ref
    position: Position
    reason: str
    foreign: bool = False
    """No release of this software writes such bytes."""
    missing: Position = BEGINNING
    """The predecessor, which the log has lost."""


class RawEvent(NamedTuple):
    """An event as it is stored, for followers that need the exact bytes (the Merkle log)."""

    position: Position
    subject: str
    headers: Mapping[str, str]
    data: bytes


Followed = RecordedEvent | UndecodableEvent


class Log(Protocol):
    """A process uses the log through `eventlog.monotonic`, so that what it followed, recorded or
    read is included in every later answer."""

    @property
    def streams(self) -> Streams:
        """Which streams there are, and which kinds each records."""
        ...

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        """Record one event, if its resource has no event after `new_event.previous` (with an
        expectation: if nothing below `expectation.around` has one after `expectation.after`).

        Raises:
            VersionConflict: there is one.
            LogUnavailable: no answer came; the event may have been recorded.
        """
        ...

    async def last(self, ref: Ref) -> Position:
        """The position of the resource's last event according to the stream's leader; BEGINNING if
        it has none.

        Raises:
            LogUnavailable: the leader did not answer.
        """
        ...

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        """The resource's last event according to the stream's leader; None if it has none.

        Raises:
            LogUnavailable: the leader did not answer.
            Undecodable: this release cannot decode it.
        """
        ...

    async def last_within(self, ref: Ref) -> Position:
        """The last position of the resource and of everything below it in its stream."""
        ...

    async def last_of(self, kind: str) -> Position:
        """The last position of any resource of a kind."""
        ...

    async def end(self, stream: str) -> Position:
        """The last position of a stream."""
        ...

    async def given_up_to(self, stream: str) -> Position:
        """The last position that a stream has given to an event, whether it still has the event or
        not.

        Raises:
            LogUnavailable: the log did not answer.
        """
        ...

    async def acknowledged(self) -> Sequence[Acknowledgement]:
        """The holes that operators have acknowledged.

        Raises:
            LogUnavailable: the log did not answer.
        """
        ...

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        """A resource's history after a position, up to and including another, without the events
        that a `Closed` in it leaves out.

        Raises:
            LogUnavailable: the log did not answer, or answered with less than `up_to`.
            Undecodable: this release cannot decode one of the events.
        """
        ...

    def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """A part of a resource's history, decodable or not; batches are bounded in bytes."""
        ...

    async def history(self, ref: Ref) -> tuple[Followed, ...]:
        """Every event of a resource, decodable or not."""
        ...

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        """The events of a resource and of everything below it, in order, decodable or not."""
        ...

    async def touched(
        self, kind: str, *, after: Position, up_to: Position
    ) -> Mapping[Ref, Position]:
        """The resources of a kind that have events in a range, decodable or not; each with the
        position of the last of them."""
        ...

    def follow(self, stream: str, *, after: Position) -> AsyncGenerator[Sequence[Followed], None]:
        """Every event of a stream after a position, in order, in batches of whatever has arrived;
        without end. An empty batch means that nothing arrived for about a second. Sequences skip
        only where the stream has lost events: the follower checks."""
        ...

    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        """As `follow`, with the stored bytes instead of decoded events."""
        ...
