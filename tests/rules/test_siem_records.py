"""Lines of the export to a SIEM: who did what, from where, by which right, in each format; and no
secret in any."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, get_args

import msgspec
import pytest

from secaplane.audit.entries import ENTRY_TYPES, EntryCaller, entry
from secaplane.audit.entries import encode as encode_entry
from secaplane.audit.entries import subject as entry_subject
from secaplane.audit.siem.formats import ExportingSite, FormatName, line
from secaplane.audit.siem.mapping import ACTIVITIES, BY_VERB, ROWS
from secaplane.audit.siem.records import GAP, UNREADABLE, SiemRecord, of_event, record, records
from secaplane.eventlog.codec import TYPES
from secaplane.eventlog.log import RawEvent
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.events import Created, RecordedEvent, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, State
from tests.rules.siem_records import SEALED, random_record

SITE = ExportingSite("eu-1", "0.1.0")
NAMES: tuple[FormatName, ...] = get_args(FormatName)
MARKER = "M4rk3r-of-a-secret"
CADF_ACTIONS = {
    *("create", "read", "update", "delete", "monitor", "disable", "deny", "start", "stop"),
    *("authenticate", "authenticate/login", "unknown", "restart"),
}
"""Of DSP0262, section 5.2.2 (`restart` is ours)."""
JANE = Actor(
    issuer="https://id.example.org",
    sub="jane@example.org",
    token="t-1",
    assignment="role-assignment tenants/acme/x",
    policy=Position("SECA", 4),
    client_address="203.0.113.9",
    user_agent="curl/8",
)
FACTS = ("SECA:73", "jane@example.org", "203.0.113.9", "tenants/acme/x", "r-1", "curl/8")


@dataclass(frozen=True)
class Place:
    ref: Ref

    def event(self, body: Any, actor: Actor | str = JANE) -> RecordedEvent:
        return RecordedEvent(
            ref=self.ref,
            uid="u1",
            tenant="t1",
            position=Position("SECA", 73),
            time=datetime(2026, 1, 1, 12, tzinfo=UTC),
            request="r-1",
            previous=BEGINNING,
            actor=actor,
            event=body,
        )


DISK = Place(Ref("block-storage", "tenants/acme/workspaces/web/block-storages/disk"))


def written(name: FormatName, each: SiemRecord) -> str:
    return line(name, each, SITE).decode()


def test_every_type_of_event_and_entry_has_a_row() -> None:
    assert set(ROWS) == {*TYPES, *ENTRY_TYPES, UNREADABLE, GAP}
    for row in ROWS.values():
        assert row.activity == BY_VERB or row.activity in ACTIVITIES[row.ocsf_class]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_says_who_did_it_from_where_by_which_right_and_how_it_ended(
    name: FormatName,
) -> None:
    text = written(name, of_event(DISK.event(Created(spec={"sizeGB": 10}))))
    assert [fact for fact in FACTS if fact not in text] == []
    assert "success" in text.lower()
    assert '"sizeGB":10' in text


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_request_says_who_was_refused_what(name: FormatName) -> None:
    made = entry(
        "forbidden",
        time=datetime(2026, 1, 1, 12, tzinfo=UTC),
        request="r-1",
        client_address="203.0.113.9",
        caller=EntryCaller("https://id.example.org", "jane@example.org", "t-1"),
        verb="put",
        path="/providers/seca.storage/v1/tenants/acme/workspaces/web/block-storages/disk",
        reason="no role allows it",
    )
    raw = RawEvent(Position("SECA-audit", 9), entry_subject(made), {}, encode_entry(made))
    text = written(name, record(raw))
    for fact in ("SECA-audit:9", "jane@example.org", made.path, "no role allows it", "203.0.113.9"):
        assert fact in text
    assert "failure" in text.lower()
    assert record(raw).resource.tenant == "acme"


def test_an_allowed_read_names_its_assignment() -> None:
    made = entry(
        "read",
        time=datetime(2026, 1, 1, 12, tzinfo=UTC),
        request="r-1",
        client_address="",
        verb="get",
        path="/x",
        reason="role-assignment tenants/acme/x allows it",
    )
    raw = RawEvent(Position("SECA-audit", 9), entry_subject(made), {}, encode_entry(made))
    assert record(raw).actor.assignment == "role-assignment tenants/acme/x"


@pytest.mark.parametrize("number", range(3))
def test_random_records_are_one_line_of_each_format(number: int) -> None:
    random = Random(number)
    for _ in range(300):
        each = random_record(random)
        for name in NAMES:
            text = written(name, each)
            assert "\n" not in text
            decoded = msgspec.json.decode(text)
            assert each.id in text
            if name == "cadf":
                row = ROWS[each.type]
                assert decoded["action"] in CADF_ACTIONS | {each.verb}, row
                for field in ("typeURI", "eventTime", "initiator", "target", "observer"):
                    assert decoded[field]
                assert decoded["outcome"] in ("success", "failure", "unknown")
            if name == "cloudevents":
                assert decoded["specversion"] == "1.0"
                assert decoded["data"]["id"] == decoded["id"]


# --- secrets


def with_marker(pointer: str, text: str) -> Json:
    value: Any = text
    for step in reversed(pointer.split("/")[1:]):
        value = {step: value}
    return {**value, "shown": "yes"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("secret", [MARKER, SEALED, f"prefix {SEALED}"])
@pytest.mark.parametrize(
    "kind", [each for each in KINDS.values() if each.has_secrets], ids=lambda kind: kind.name
)
def test_no_secret_leaves(kind: Any, secret: str, name: FormatName) -> None:
    place = Place(Ref(kind.name, "tenants/acme/x/one"))
    for pointer in kind.secrets.spec:
        for made in (Created, Updated):
            event = place.event(made(spec=with_marker(pointer, secret)))
            refuse(written(name, of_event(event)), secret)
    for pointer in kind.secrets.status:
        report = StatusReported(
            state=State.ACTIVE,
            observed_position=Position("SECA", 1),
            status=with_marker(pointer, secret),
        )
        refuse(written(name, of_event(place.event(report))), secret)


def refuse(text: str, secret: str) -> None:
    assert secret not in text
    assert MARKER not in text
    assert not re.search(r"sealed:[^:]*:[0-9a-f]{64}", text)
    assert "<secret>" in text
    assert "yes" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_sealed_string_leaves_nowhere_whatever_the_kind_declares(name: FormatName) -> None:
    body = Created(spec={"a": [{"b": SEALED}]}, labels={"l": SEALED}, annotations={"n": SEALED})
    text = written(name, of_event(DISK.event(body)))
    assert "0a0a" not in text
    report = StatusReported(
        state=State.ERROR, observed_position=BEGINNING, reason="Failed", message=f"bad {SEALED}"
    )
    each = of_event(DISK.event(report))
    assert each.outcome == "failure"
    assert each.detail == "Failed: bad <secret>"


def test_nothing_of_an_unknown_kind_but_its_address() -> None:
    event = Place(Ref("of-a-later-release", "tenants/acme/x")).event(Created(spec={"a": MARKER}))
    assert of_event(event).content == {}
    assert of_event(event).resource.path == "tenants/acme/x"


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_of_an_event_that_cannot_be_decoded_do_not_leave(name: FormatName) -> None:
    data = msgspec.json.encode(
        {"v": 9, "type": "x", "body": MARKER, "time": "2026-01-01T12:00:00Z"}
    )
    raw = RawEvent(Position("SECA", 5), "seca.eu-1.0a.tenants.acme.x.block-storage", {}, data)
    each = record(raw)
    assert (each.type, each.time.year) == (UNREADABLE, 2026)
    assert MARKER not in written(name, each)


def test_a_sealed_actor_is_named_as_such() -> None:
    event = DISK.event(Updated(spec={}), actor="c2VhbGVk")
    assert of_event(event).actor.sub == "<sealed>"
    assert "c2VhbGVk" not in written("native", of_event(event))


# --- gaps


def raw_at(sequence: int) -> RawEvent:
    return RawEvent(Position("SECA", sequence), "seca.eu-1.0a.x.y", {}, b"{}")


def test_positions_without_a_message_are_records() -> None:
    some = [*records([raw_at(3), raw_at(4), raw_at(6)], after=0)]
    assert [each.id for each in some] == [
        "SECA:gap:1-2",
        "SECA:3",
        "SECA:4",
        "SECA:gap:5",
        "SECA:6",
    ]
    assert [each.sequence for each in some] == [2, 3, 4, 5, 6]
    assert [each.type for each in records([raw_at(7)], after=6)] == [UNREADABLE]
