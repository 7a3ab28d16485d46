"""Stored events as followers see them: decoded, or known by their address alone. Pure."""

from secaplane.eventlog.codec import Undecodable, decode
from secaplane.eventlog.log import Followed, RawEvent, UndecodableEvent
from secaplane.eventlog.subjects import ref
from secaplane.model.shape import Ref


def decode_followed(raw: RawEvent) -> Followed:
    """The event, or its address where this release cannot decode it."""
    try:
        return decode(raw.data, raw.position)
    except Undecodable as reason:
        return UndecodableEvent(address_of(raw.subject), raw.position, str(reason))


def address_of(subject: str) -> Ref:
    """The address that a subject names; also of a message that was put where no resource can be."""
    try:
        return ref(subject)
    except ValueError:
        return Ref("", subject)
