"""Writing events as bytes and reading them back. Their position is not among the bytes: the log
gives it.

The envelope is fixed: `type` and `v` are written-out constants, never class names, and golden files
hold every type and version that was ever written, because history is read for ever. Specs and
statuses stay plain JSON here: they were validated when they were accepted, and a stricter rule of
today must not make an event of yesterday undecodable. A changed meaning is a new type, with an
upcast here.

Format 2. The actor and the body may each be a string instead of an object: then they are encrypted,
and reading them needs a key (`eventlog.event_seals`). The body of an event whose key was destroyed
is read as that of an event without contents: it moves version and position of its resource, and
says nothing. `salt` makes a digest of the bytes say nothing about their contents.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from secaplane.model.actor import Actor, SealedActor
from secaplane.model.errors import ContentTooLarge
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Closed,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource, State

EVENT_BYTES_MAX = 2 * 1024 * 1024
SALT_BYTES = 16
VERSION = 2
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError)
"""Raised for bytes that are no JSON of an expected shape. The library has its own exception for all
but a string that is no UTF-8."""
TYPES: dict[str, type[AnyEvent]] = {
    "created": Created,
    "updated": Updated,
    "action-requested": ActionRequested,
    "deletion-requested": DeletionRequested,
    "status-reported": StatusReported,
    "deleted": Deleted,
    "closed": Closed,
}
NAMES = {type_: name for name, type_ in TYPES.items()}
ERASED: dict[str, AnyEvent] = {
    "created": Created(spec={}),
    "updated": Updated(spec={}),
    "status-reported": StatusReported(state=State.PENDING, observed_position=BEGINNING),
}
"""The types whose bodies are sealed, each as it is read once its key is destroyed. Such a report is
older than every intent, so that it moves no state. The other types hold nothing of a caller."""
BODY_SEAL = "body:"
"""The beginning of what is sealed with the body key of the tenant's life."""


class Undecodable(Exception):
    """The bytes at a position are no event that this release can read."""

    ref: Ref | None = None
    """The resource, where the reader knows it."""


class EventMissing(Undecodable):
    """The log has lost an event of the resource: another one names it as its predecessor, or a
    process has read it before."""

    known: Resource | None = None
    """The resource right after the lost event, where a process has read that."""


class NotAnEvent(Undecodable):
    """The bytes are no event of any release: each writes a JSON object with `v` and `type`."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its envelope and without a position: what is appended."""

    ref: Ref
    uid: str
    tenant: str = ""
    time: datetime
    request: str
    cause: Position = BEGINNING
    previous: Position = BEGINNING
    salt: bytes
    """SALT_BYTES random bytes."""
    actor: Actor | SealedActor
    event: AnyEvent
    sealed_actor: SealedActor = ""
    sealed_body: str = ""
    """The actor and the event's body as they are stored, where they are sealed."""

    def at(self, position: Position) -> RecordedEvent:
        return RecordedEvent(
            ref=self.ref,
            uid=self.uid,
            tenant=self.tenant,
            position=position,
            time=self.time,
            request=self.request,
            cause=self.cause,
            previous=self.previous,
            actor=self.actor,
            event=self.event,
        )


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    type: str
    stream: str
    kind: str
    path: str
    uid: str
    tenant: str
    time: datetime
    request: str
    cause: Position
    previous: Position
    salt: bytes
    actor: Actor | SealedActor
    body: msgspec.Raw


class _AnyRelease(msgspec.Struct, frozen=True):
    """The fields of an envelope that every release writes."""

    v: int
    type: str


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Envelope).decode
_decode_any_release = msgspec.json.Decoder(_AnyRelease).decode
_bodies = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}
_decode_sealed = msgspec.json.Decoder(str).decode
_decode_actor = msgspec.json.Decoder(Actor).decode

OpenSealed = Callable[[str, str, bytes], bytes | None]
"""(uid of the tenant's life, sealed text, context) -> the text in clear; None where its key was
destroyed. Raises Undecodable."""


def context(part: str, ref: Ref, uid: str, request: str) -> bytes:
    """The place for which a part of an event (`body`, `actor`) is sealed."""
    return f"{part} {ref.kind} {ref.path} {uid} {request}".encode()


def body_of(event: AnyEvent) -> bytes:
    """As it is stored, or sealed."""
    return _encode(event)


def encode(new_event: NewEvent, stream: str) -> bytes:
    """The bytes of an event for a stream.

    Raises:
        ContentTooLarge: over EVENT_BYTES_MAX; a spec is limited when it is accepted, a report here.
    """
    data = _encode(
        _Envelope(
            v=VERSION,
            type=NAMES[type(new_event.event)],
            stream=stream,
            kind=new_event.ref.kind,
            path=new_event.ref.path,
            uid=new_event.uid,
            tenant=new_event.tenant,
            time=new_event.time,
            request=new_event.request,
            cause=new_event.cause,
            previous=new_event.previous,
            salt=new_event.salt,
            actor=new_event.sealed_actor or new_event.actor,
            body=msgspec.Raw(_encode(new_event.sealed_body or new_event.event)),
        )
    )
    if len(data) > EVENT_BYTES_MAX:
        raise ContentTooLarge(f"event too large: {len(data)} bytes; at most {EVENT_BYTES_MAX}")
    return data


def decode(data: bytes, position: Position, open_sealed: OpenSealed | None = None) -> RecordedEvent:
    """The event in the bytes at a position. A sealed actor stays sealed, if the event's meaning
    does not depend on it.

    Raises:
        Undecodable: an unknown version or type, or a sealed body without a key.
        NotAnEvent: no envelope of any release.
        whatever `open_sealed` raises.
    """
    try:
        envelope = _decode(data)
        if envelope.v != VERSION or envelope.type not in _bodies:
            raise Undecodable(f"unknown event type {envelope.type} v{envelope.v}")
        ref = Ref(envelope.kind, envelope.path)
        actor, body = envelope.actor, bytes(envelope.body) or None
        if body is not None and body.startswith(b'"'):
            body = _opened(envelope, ref, "body", _decode_sealed(body), open_sealed)
        if isinstance(actor, str) and actor.startswith(BODY_SEAL):
            opened = _opened(envelope, ref, "actor", actor, open_sealed)
            actor = actor if opened is None else _decode_actor(opened)
        event = ERASED[envelope.type] if body is None else _bodies[envelope.type].decode(body)
    except NOT_JSON as error:
        raise _undecodable(data, reason_of(error)) from error
    return RecordedEvent(
        ref=ref,
        uid=envelope.uid,
        tenant=envelope.tenant,
        position=position,
        time=envelope.time,
        request=envelope.request,
        cause=envelope.cause,
        previous=envelope.previous,
        actor=actor,
        event=event,
        erased=body is None,
    )


def _opened(
    envelope: _Envelope, ref: Ref, part: str, sealed: str, open_sealed: OpenSealed | None
) -> bytes | None:
    if open_sealed is None or envelope.type not in ERASED:
        raise Undecodable(f"the event's {part} is sealed, and there is no key for it here")
    place = context(part, ref, envelope.uid, envelope.request)
    return open_sealed(envelope.tenant, sealed, place)


def _undecodable(data: bytes, reason: str) -> Undecodable:
    try:
        _decode_any_release(data)
    except NOT_JSON:
        return NotAnEvent(reason)
    return Undecodable(reason)
