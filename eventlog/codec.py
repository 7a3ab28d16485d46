"""How an event is written down and read back. Its position is not: the log gives that.

The envelope is fixed from the first day, because history is for ever: `type` and `v` are
written-out constants, never class names, and golden files hold every type and version that was
ever written. Specs and statuses stay plain JSON here: they were checked at the door on the day
they came in, and a rule that is stricter today must not make yesterday unreadable. A changed
meaning is a new type, with an upcast here.
"""

from datetime import datetime

import msgspec

from secaplane.model.errors import TooLarge
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    By,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.shape import NOWHERE, Position, Ref

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


class Unreadable(Exception):
    """What lies at this position is no event that this house can read."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event without its position: what is written."""

    ref: Ref
    uid: str
    time: datetime
    request: str
    cause: Position = NOWHERE
    by: By
    event: AnyEvent

    def at(self, position: Position, before: Position | None = None) -> RecordedEvent:
        return RecordedEvent(
            ref=self.ref,
            uid=self.uid,
            position=position,
            time=self.time,
            request=self.request,
            cause=self.cause,
            by=self.by,
            event=self.event,
            before=before,
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
    by: By
    body: msgspec.Raw


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Envelope).decode
_bodies = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}


def encode(page: Page) -> bytes:
    """Raises:
    TooLarge: over EVENT_BYTES_MAX; a spec is limited at the door, a report by this.
    """
    data = _encode(
        _Envelope(
            v=VERSION,
            type=NAMES[type(page.event)],
            kind=page.ref.kind,
            path=page.ref.path,
            uid=page.uid,
            time=page.time,
            request=page.request,
            cause=page.cause,
            by=page.by,
            body=msgspec.Raw(_encode(page.event)),
        )
    )
    if len(data) > EVENT_BYTES_MAX:
        raise TooLarge(f"an event of {len(data)} bytes; at most {EVENT_BYTES_MAX} can be kept")
    return data


def decode(data: bytes, position: Position, before: Position | None = None) -> RecordedEvent:
    """Raises:
    Unreadable: not an envelope, or of a version or type this house does not know.
    """
    try:
        page = _decode(data)
        if page.v != VERSION or page.type not in _bodies:
            raise Unreadable(f"event {page.type} v{page.v} is not known here")
        event: AnyEvent = _bodies[page.type].decode(page.body)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error
    return RecordedEvent(
        ref=Ref(page.kind, page.path),
        uid=page.uid,
        position=position,
        time=page.time,
        request=page.request,
        cause=page.cause,
        by=page.by,
        event=event,
        before=before,
    )
