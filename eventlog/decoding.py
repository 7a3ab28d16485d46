"""Stored events as readers see them: decoded, or known by their address alone. Pure."""

from collections.abc import Iterable

from secaplane.eventlog.codec import NotAnEvent, Undecodable, decode
from secaplane.eventlog.log import Followed, RawEvent, UndecodableEvent
from secaplane.eventlog.subjects import ref
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.shape import Ref


def decode_followed(raw: RawEvent) -> Followed:
    """The event, or its address where this release cannot decode it."""
    try:
        return decode(raw.data, raw.position)
    except Undecodable as reason:
        foreign = isinstance(reason, NotAnEvent)
        return UndecodableEvent(address_of(raw.subject), raw.position, str(reason), foreign)


def remaining(history: Iterable[Followed]) -> list[Followed]:
    """The events of one resource without those that a `Closed` leaves out."""
    kept: list[Followed] = []
    for each in history:
        if isinstance(each, RecordedEvent) and isinstance(each.event, Closed):
            while kept and kept[-1].position >= each.event.since:
                kept.pop()
        kept.append(each)
    return kept


def readable(history: Iterable[Followed]) -> tuple[RecordedEvent, ...]:
    """The events of one resource that make its state.

    Raises:
        Undecodable: one of them cannot be decoded.
    """
    events: list[RecordedEvent] = []
    for each in remaining(history):
        if isinstance(each, UndecodableEvent):
            raise undecodable(each.ref, each.reason)
        events.append(each)
    return tuple(events)


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
