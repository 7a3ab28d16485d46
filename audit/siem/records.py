"""One line of the export before it has a format: an event of the log, or an audit entry. Pure.

Secrets never leave: what the kind declares as secret, and every string that has the form of a
sealed one, is replaced by SECRET. The bytes of an event that cannot be decoded are not exported.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import reduce
from http import HTTPStatus
from itertools import zip_longest
from typing import Any, Literal

import msgspec

from secaplane.audit.entries import (
    ALL_SUBJECTS,
    ALL_TENANTS,
    Entry,
    EntryTenant,
    ProcessFacts,
    allowed_by,
    tenant_in,
)
from secaplane.audit.entries import decode as decode_entry
from secaplane.eventlog.codec import NAMES, NOT_JSON, Undecodable
from secaplane.eventlog.decoding import decode_followed
from secaplane.eventlog.log import Followed, RawEvent, UndecodableEvent
from secaplane.kinds import KINDS
from secaplane.model.actor import RESERVED_SUBS, Actor, ShownActor
from secaplane.model.desired import ERASED_TEXT, SECRET, desired
from secaplane.model.events import (
    ActionRequested,
    Closed,
    DesiredState,
    RecordedEvent,
    StatusReported,
)
from secaplane.model.pointer import changed
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, State
from secaplane.sealing.sealer import MARK

UNREADABLE, GAP = "unreadable", "gap"
"""Types of a message that this release cannot decode, and of positions without a message."""
SEALED_ACTOR = "<sealed>"
EPOCH = datetime.fromtimestamp(0, UTC)
"""Time of a record whose message does not say one."""
Outcome = Literal["success", "failure", "unknown"]
REFUSED = ("unauthenticated", "forbidden", "refused")
_AUDIT = ALL_SUBJECTS.removesuffix(">")
_SEALED = re.compile(rf"{MARK}:[^:]*:[0-9a-f]{{64}}:[A-Za-z0-9+/=]+")


class SiemActor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The caller, the origin of its request, and the right by which it was allowed."""

    sub: str = ""
    issuer: str = ""
    token: str = ""
    """Its id (`jti`)."""
    groups: tuple[str, ...] = ()
    assignment: str = ""
    """The role assignment that allowed the request, and the role in it."""
    policy: str = ""
    """Position of the authorization policy that was applied."""
    client_address: str = ""
    user_agent: str = ""
    traceparent: str = ""
    pseudonym: str = ""
    """Of a caller that is stored sealed: it tells callers apart whose names were erased."""

    @property
    def is_system(self) -> bool:
        """True for the control plane itself."""
        return not self.issuer and self.sub in RESERVED_SUBS


class SiemResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    kind: str = ""
    path: str = ""
    uid: str = ""
    tenant: str = ""
    tenant_uid: str = ""


class SiemRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One line. `id` is the same in every delivery of it."""

    id: str
    type: str
    time: datetime
    stream: str
    sequence: int
    outcome: Outcome
    request: str = ""
    cause: str = ""
    actor: SiemActor = SiemActor()
    resource: SiemResource = SiemResource()
    verb: str = ""
    path: str = ""
    """Of the URL; audit entries alone have it."""
    detail: str = ""
    status: int = 0
    """Of the answer (HTTP); 0 where the type says it, or where there was no request."""
    dropped: int = 0
    """Entries of the same type and caller that were dropped before this one."""
    process: ProcessFacts | None = None
    content: Json = {}


class _Times(msgspec.Struct, frozen=True):
    time: datetime = EPOCH


_decode_time = msgspec.json.Decoder(_Times).decode


def records(
    batch: Sequence[RawEvent], after: int, opened: Sequence[Followed] = ()
) -> Iterator[SiemRecord]:
    """The records of consecutive messages of one stream after a sequence. Positions that have no
    message are records, too: lost events, or audit entries that the limits of the stream removed.
    `opened`: the messages as events, where some are sealed."""
    for raw, event in zip_longest(batch, opened):
        if raw.position.sequence > after + 1:
            yield gap(raw.position.stream, after + 1, raw.position.sequence - 1)
        yield record(raw, event)
        after = raw.position.sequence


def is_entry(raw: RawEvent) -> bool:
    """An entry of the audit stream."""
    return raw.subject.startswith(_AUDIT)


def record(raw: RawEvent, event: Followed | None = None) -> SiemRecord:
    if is_entry(raw):
        return _of_entry(raw)
    event = event or decode_followed(raw)
    if isinstance(event, UndecodableEvent):
        return _unreadable(raw, event.ref, event.reason)
    return of_event(event)


def gap(stream: str, first: int, last: int) -> SiemRecord:
    """Positions without a message."""
    span = f"{first}-{last}" if last > first else f"{first}"
    return SiemRecord(
        id=f"{stream}:gap:{span}",
        type=GAP,
        time=EPOCH,
        stream=stream,
        sequence=last,
        outcome="unknown",
        detail=f"the stream {stream} has nothing at {span}",
    )


def of_event(event: RecordedEvent) -> SiemRecord:
    verb, detail = _said(event)
    return SiemRecord(
        id=str(event.position),
        type=NAMES[type(event.event)],
        time=event.time,
        stream=event.position.stream,
        sequence=event.position.sequence,
        outcome=_outcome(event),
        request=event.request,
        cause=_text(event.cause),
        actor=_actor(event),
        resource=_resource(event.ref, event.uid, event.tenant),
        verb=verb,
        detail=detail,
        content=content(event),
    )


def content(event: RecordedEvent) -> Json:
    """Desired state or status as recorded, without secrets. Nothing of a kind that this release
    does not know: which of its fields are secret is not known either."""
    kind = KINDS.get(event.ref.kind)
    if kind is None or event.erased:
        return {}
    shown: Json = {}
    if isinstance(event.event, DesiredState):
        shown = desired(event.event)
        shown["spec"] = _hidden(shown["spec"], kind.secrets.spec)
    elif isinstance(event.event, StatusReported):
        status = _hidden(event.event.status, kind.secrets.status)
        shown = {"state": event.event.state, "status": status}
    without_sealed: Json = _without_sealed(shown)
    return without_sealed


def _hidden(value: Json, pointers: Sequence[str]) -> Json:
    hidden: Json = reduce(lambda inner, pointer: changed(inner, pointer, _hide), pointers, value)
    return hidden


def _hide(text: str) -> str:
    return SECRET


def _without_sealed(value: Any) -> Any:
    """A release may have sealed what the kind no longer declares as secret."""
    if isinstance(value, str):
        return _SEALED.sub(SECRET, value) if MARK in value else value
    if isinstance(value, dict):
        return {name: _without_sealed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_sealed(each) for each in value]
    return value


def _outcome(event: RecordedEvent) -> Outcome:
    failed = isinstance(event.event, StatusReported) and event.event.state is State.ERROR
    return "failure" if failed else "success"


def _said(event: RecordedEvent) -> tuple[str, str]:
    """The verb, where it is a part of the event, and the reason with its message."""
    if event.erased:
        return "", f"{ERASED_TEXT}: the key of the contents was destroyed"
    match event.event:
        case ActionRequested(action=action):
            return action, ""
        case StatusReported(reason=reason, message=message):
            return "", _without_sealed(": ".join(each for each in (reason, message) if each))
        case Closed(since=since, reason=reason):
            return "", f"events since {since} are left out: {reason}".removesuffix(": ")
    return "", ""


def _actor(event: RecordedEvent) -> SiemActor:
    actor = event.actor
    if not isinstance(actor, Actor):
        return SiemActor(sub=SEALED_ACTOR)
    return SiemActor(
        sub=actor.sub,
        issuer=actor.issuer,
        token=actor.token,
        groups=actor.groups,
        assignment=actor.assignment,
        policy=_text(actor.policy),
        client_address=actor.client_address,
        user_agent=actor.user_agent,
        traceparent=actor.traceparent,
        pseudonym=actor.pseudonym if isinstance(actor, ShownActor) else "",
    )


def _resource(ref: Ref, uid: str = "", tenant: str = "") -> SiemResource:
    name = ref.scope("tenants")
    return SiemResource(kind=ref.kind, path=ref.path, uid=uid, tenant=name, tenant_uid=tenant)


def _of_entry(raw: RawEvent) -> SiemRecord:
    try:
        entry = decode_entry(raw.data)
    except Undecodable as error:
        return _unreadable(raw, Ref("", ""), str(error))
    caller, status = entry.caller, entry.status if isinstance(entry.status, int) else 0
    return SiemRecord(
        id=str(raw.position),
        type=entry.type,
        time=entry.time,
        stream=raw.position.stream,
        sequence=raw.position.sequence,
        outcome="failure" if entry.type in REFUSED else "success",
        request=entry.request,
        actor=SiemActor(
            sub=caller.sub,
            issuer=caller.issuer,
            token=caller.token,
            groups=caller.groups or (),
            assignment=allowed_by(entry),
            policy=entry.concerns.policy if isinstance(entry.concerns, EntryTenant) else "",
            client_address=entry.client_address,
            user_agent=entry.user_agent or "",
        ),
        resource=_named_in(entry),
        verb=entry.verb,
        path=entry.path,
        detail=_reason(entry, status),
        status=status,
        dropped=entry.dropped,
        process=entry.process if isinstance(entry.process, ProcessFacts) else None,
        content={"heads": msgspec.to_builtins(entry.heads)} if entry.type == "heads" else {},
    )


def _reason(entry: Entry, status: int) -> str:
    """With the status of the answer, where the entry has one, in words."""
    if not status:
        return entry.reason
    return f"{status} {HTTPStatus(status).phrase}: {entry.reason}".removesuffix(": ")


def _named_in(entry: Entry) -> SiemResource:
    """The tenant in the path of a request: a refused one may name no resource that there is."""
    uid = entry.concerns.uid if isinstance(entry.concerns, EntryTenant) else ""
    uid = "" if uid == ALL_TENANTS else uid
    return SiemResource(path=entry.path, tenant=tenant_in(entry.path), tenant_uid=uid)


def _unreadable(raw: RawEvent, ref: Ref, reason: str) -> SiemRecord:
    try:
        time = _decode_time(raw.data).time
    except NOT_JSON:
        time = EPOCH
    return SiemRecord(
        id=str(raw.position),
        type=UNREADABLE,
        time=time if time.tzinfo else EPOCH,
        stream=raw.position.stream,
        sequence=raw.position.sequence,
        outcome="unknown",
        resource=_resource(ref),
        detail=_without_sealed(reason),
    )


def _text(position: Position) -> str:
    return str(position) if position else ""
