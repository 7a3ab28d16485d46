"""How an event is written down and read back. Its position is not: the log gives that.

The envelope is fixed from the first day, because history is for ever: `type` and `v` are
written-out constants, never class names, and golden files hold every type and version that was
ever written. Specs and statuses stay plain JSON here: they were checked at the door on the day
they came in, and a rule that is stricter today must not make yesterday unreadable. A changed
meaning is a new type, with an upcast here.
"""

from datetime import datetime

import msgspec

from secaplane.model.errors import ContentTooLarge
from secaplane.model.events import (
    ActionRequested,
    Actor,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.shape import BEGINNING, Position, Ref

EVENT_BYTES_MAX = 2 * 1024 * 1024
VERSION = 1
TYPES: dict[str, type[AnyEvent]] = {
    "created": Created,
    "updated": Updated,
    "action-requested": ActionRequested,
    "deletion-requested": DeletionRequested,
    "status-reported": StatusReported,
    "deleted": Deleted,
}
NAMES = {type_: name for name, type_ in TYPES.items()}


class Undecodable(Exception):
    """What lies at this position is no event that this house can read."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event without its position: what is written."""

    ref: Ref
    uid: str
    time: datetime
    request: str
    cause: Position = BEGINNING
    actor: Actor
    event: AnyEvent

    def at(self, position: Position, previous: Position | None = None) -> RecordedEvent:
        return RecordedEvent(
            ref=self.ref,
            uid=self.uid,
            position=position,
            time=self.time,
            request=self.request,
            cause=self.cause,
            actor=self.actor,
            event=self.event,
            previous=previous,
        )


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    type: str
    kind: str
    path: str
    uid: str
    time: datetime
    request: str
    cause: Position
    actor: Actor
    body: msgspec.Raw


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Envelope).decode
_bodies = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}


def encode(new_event: NewEvent) -> bytes:
    """Raises:
    TooLarge: over EVENT_BYTES_MAX; a spec is limited at the door, a report by this.
    """
    data = _encode(
        _Envelope(
            v=VERSION,
            type=NAMES[type(new_event.event)],
            kind=new_event.ref.kind,
            path=new_event.ref.path,
            uid=new_event.uid,
            time=new_event.time,
            request=new_event.request,
            cause=new_event.cause,
            actor=new_event.actor,
            body=msgspec.Raw(_encode(new_event.event)),
        )
    )
    if len(data) > EVENT_BYTES_MAX:
        raise ContentTooLarge(
            f"an event of {len(data)} bytes; at most {EVENT_BYTES_MAX} can be kept"
        )
    return data


def decode(data: bytes, position: Position, previous: Position | None = None) -> RecordedEvent:
    """Raises:
    Unreadable: not an envelope, or of a version or type this house does not know.
    """
    try:
        new_event = _decode(data)
        if new_event.v != VERSION or new_event.type not in _bodies:
            raise Undecodable(f"event {new_event.type} v{new_event.v} is not known here")
        event: AnyEvent = _bodies[new_event.type].decode(new_event.body)
    except msgspec.DecodeError as error:
        raise Undecodable(str(error)) from error
    return RecordedEvent(
        ref=Ref(new_event.kind, new_event.path),
        uid=new_event.uid,
        position=position,
        time=new_event.time,
        request=new_event.request,
        cause=new_event.cause,
        actor=new_event.actor,
        event=event,
        previous=previous,
    )
