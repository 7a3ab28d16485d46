"""Events, audit entries and other messages of a log, at random: what the export to a SIEM gets."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from secaplane.audit.entries import (
    ENTRY_TYPES,
    UNKNOWN_CALLER,
    EntryCaller,
    HeadsFacts,
    ProcessFacts,
    entry,
)
from secaplane.audit.entries import encode as encode_entry
from secaplane.audit.entries import subject as entry_subject
from secaplane.audit.siem.records import SiemRecord, gap, record
from secaplane.eventlog.codec import TYPES, NewEvent, encode
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.subjects import subject
from secaplane.kinds import KINDS
from secaplane.model.actor import RECONCILER, SYSTEM, Actor
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Closed,
    Created,
    Deleted,
    DeletionRequested,
    StatusReported,
    Updated,
)
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, State

STREAM, AUDIT, REGION = "SECA", "SECA-audit", "eu-1"
STATES = (State.ACTIVE, State.ERROR, State.CREATING)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEXTS = ("", "jane@example.org", 'a "quoted" \n line', "é\u2028x", "<b>", "x" * 300, "203.0.113.9")
ADDRESSES = ("", "203.0.113.9", "2001:db8::7", "::ffff:203.0.113.9", "fe80::1%eth0", "unknown", "x")
SEALED = f"sealed:k1:{'0a' * 32}:{'QUJD' * 20}"


def random_record(random: Random) -> SiemRecord:
    """Any type of record."""
    make = random.choice((_event, _event, _event, _entry, _foreign))
    if random.random() < 0.02:
        first = random.randrange(1, 1000)
        return gap(random.choice((STREAM, AUDIT)), first, first + random.randrange(3))
    return record(make(random))


def _event(random: Random) -> RawEvent:
    kind = random.choice(sorted(KINDS))
    new = NewEvent(
        ref=Ref(kind, KINDS[kind].ref(dict.fromkeys(_scopes(kind), "acme"), "one").path),
        uid=random.choice(("", "u1")),
        tenant=random.choice(("", "t1")),
        time=NOON + timedelta(milliseconds=random.randrange(10**10)),
        request=_text(random),
        cause=random.choice((BEGINNING, Position(STREAM, 7))),
        salt=bytes(16),
        actor=_actor(random),
        event=_body(random, random.choice([*TYPES])),
    )
    at = Position(STREAM, random.randrange(1, 10**12))
    return RawEvent(at, subject(new.ref, REGION), {}, encode(new, STREAM))


def _scopes(kind: str) -> list[str]:
    return [step.strip("{}") for step in KINDS[kind].collection.split("/") if step[0] == "{"]


def _actor(random: Random) -> Actor | str:
    if random.random() < 0.1:
        return "sealed actor"
    if random.random() < 0.3:
        return random.choice((SYSTEM, RECONCILER))
    return Actor(
        issuer=_text(random),
        sub=_text(random),
        token=_text(random),
        groups=tuple(_text(random) for _ in range(random.randrange(3))),
        assignment=_text(random),
        policy=random.choice((BEGINNING, Position(STREAM, 3))),
        client_address=random.choice(ADDRESSES),
        user_agent=_text(random),
        traceparent=_text(random),
    )


def _body(random: Random, name: str) -> AnyEvent:
    bodies: dict[str, Callable[[], AnyEvent]] = {
        "created": lambda: Created(spec=_json(random), labels={"a": _text(random)}),
        "updated": lambda: Updated(spec=_json(random)),
        "action-requested": lambda: ActionRequested(action=random.choice(("start", "stop"))),
        "deletion-requested": DeletionRequested,
        "status-reported": lambda: StatusReported(
            state=random.choice(STATES),
            observed_position=Position(STREAM, 1),
            status=_json(random),
            reason=_text(random),
            message=_text(random),
        ),
        "deleted": Deleted,
        "closed": lambda: Closed(since=Position(STREAM, 2), version=3, reason=_text(random)),
    }
    return bodies[name]()


def _entry(random: Random) -> RawEvent:
    known = EntryCaller(_text(random), _text(random), _text(random), (_text(random),))
    made = entry(
        random.choice(ENTRY_TYPES),
        time=NOON,
        request=_text(random),
        client_address=random.choice(ADDRESSES),
        caller=random.choice((UNKNOWN_CALLER, known)),
        verb=random.choice(("get", "put", "delete", "list", "post.start", "")),
        path=random.choice(("", "/providers/seca.storage/v1/tenants/acme/x", "/")),
        reason=random.choice(("", "role-assignment tenants/acme/x allows it")),
    )
    if made.type.startswith("process-"):
        offset = random.choice((None, -5, 0))
        facts = ProcessFacts(
            name="command", version="0.1.0", instance="i-1", clock_offset_us=offset
        )
        made = replace(made, process=facts)
    if made.type == "refused":
        made = replace(made, status=random.choice((400, 404, 409, 412, 422, 429, 500, 503)))
    if made.type == "heads":
        heads = HeadsFacts(root=random.randbytes(32), size=2, streams={"SECA": 9})
        made = replace(made, heads=heads)
    at = Position(AUDIT, random.randrange(1, 10**9))
    return RawEvent(at, entry_subject(made), {}, encode_entry(made))


def _foreign(random: Random) -> RawEvent:
    data = random.choice(
        (
            b"",
            b"{}",
            b'{"time":"\x9f"}',
            b'{"v":9,"type":"x","time":"2026-01-01T12:00:00Z"}',
            b"\xff",
        )
    )
    place = random.choice((f"seca.{REGION}.00.x.y", "seca-audit.login.0a", "foreign"))
    return RawEvent(Position(STREAM, random.randrange(1, 10**6)), place, {}, data)


def _json(random: Random, depth: int = 0) -> Json:
    return {name: _value(random, depth) for name in ("a", "userData", "é")}


def _value(random: Random, depth: int) -> Any:
    choice = random.randrange(6 if depth < 2 else 4)
    if choice == 4:
        return _json(random, depth + 1)
    if choice == 5:
        return [_value(random, depth + 1) for _ in range(2)]
    return (_text(random), random.randrange(-9, 9), None, SEALED)[choice]


def _text(random: Random) -> str:
    return random.choice(TEXTS)
