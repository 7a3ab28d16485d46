"""Stored events as readers see them: decoded, or known by their address alone. Pure."""

from collections.abc import Iterable

from secaplane.eventlog.codec import EventMissing, NotAnEvent, OpenSealed, Undecodable, decode
from secaplane.eventlog.log import Followed, RawEvent, UndecodableEvent
from secaplane.eventlog.subjects import ref
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.position import Position
from secaplane.model.shape import Ref

CANNOT_APPLY = (AssertionError, KeyError, TypeError, ValueError)
"""Exceptions of `evolve` for an event that was decoded and does not fit what is before it."""


def decode_followed(raw: RawEvent, open_sealed: OpenSealed | None = None) -> Followed:
    """The event, or its address where this release cannot decode it. Raises whatever `open_sealed`
    raises besides Undecodable."""
    try:
        return decode(raw.data, raw.position, open_sealed)
    except Undecodable as reason:
        foreign = isinstance(reason, NotAnEvent)
        return UndecodableEvent(address_of(raw.subject), raw.position, str(reason), foreign)


def remaining(history: Iterable[Followed], after: Position | None = None) -> list[Followed]:
    """The events of one resource without those that a `Closed` leaves out. One whose predecessor is
    missing is undecodable; `after` is the predecessor of the first event, None if it is not known.
    """
    kept: list[Followed] = []
    for each in not_closed(history):
        closes = isinstance(each, RecordedEvent) and isinstance(each.event, Closed)
        kept.append(each if closes else with_predecessor(each, after))
        after = each.position
    return kept


def not_closed(history: Iterable[Followed]) -> list[Followed]:
    """The events of one resource without those that a `Closed` leaves out."""
    kept: list[Followed] = []
    for each in history:
        if isinstance(each, RecordedEvent) and isinstance(each.event, Closed):
            while kept and kept[-1].position >= each.event.since:
                kept.pop()
        kept.append(each)
    return kept


def with_predecessor(each: Followed, before: Position | None) -> Followed:
    """An event after the one at `before` of its resource; undecodable if it names another one."""
    if before is None or isinstance(each, UndecodableEvent) or each.previous == before:
        return each
    lost = max(each.previous, before)  # the later of the two is what one of them does not know
    reason = f"event {lost} of the resource is missing in the log"
    return UndecodableEvent(each.ref, each.position, reason, missing=lost)


def readable(
    history: Iterable[Followed], after: Position | None = None
) -> tuple[RecordedEvent, ...]:
    """The events of one resource that make its state; `after` as in `remaining`.

    Raises:
        Undecodable: one of them cannot be decoded.
        EventMissing: one of them has no predecessor.
    """
    events: list[RecordedEvent] = []
    for each in remaining(history, after):
        if isinstance(each, UndecodableEvent):
            raise as_exception(each)
        events.append(each)
    return tuple(events)


def as_exception(event: UndecodableEvent) -> Undecodable:
    error = EventMissing(event.reason) if event.missing else Undecodable(event.reason)
    error.ref = event.ref
    return error


def missing(ref: Ref, lost: Position) -> EventMissing:
    """The exception about a resource whose event at a position is missing."""
    error = EventMissing(f"event {lost} of the resource is missing in the log")
    error.ref = ref
    return error


def undecodable(ref: Ref, reason: str) -> Undecodable:
    """The exception about a resource."""
    error = Undecodable(reason)
    error.ref = ref
    return error


def address_of(subject: str) -> Ref:
    """The address that a subject names; also of a message that was put where no resource can be."""
    try:
        return ref(subject)
    except ValueError:
        return Ref("", subject)
