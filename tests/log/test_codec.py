"""The serialised form of events. Every format is read for ever: tests/golden holds every type and
version, byte for byte. Files there are added, never changed."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from secaplane.eventlog.codec import (
    EVENT_BYTES_MAX,
    TYPES,
    VERSION,
    NewEvent,
    Undecodable,
    context,
    decode,
    encode,
)
from secaplane.model.actor import Actor
from secaplane.model.errors import ContentTooLarge
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
from secaplane.model.shape import Json, Ref, State
from tests.log.new_events import ONE
from tests.log.new_events import new_event as small
from tests.positions import STREAM, nth

GOLDEN = Path(__file__).parent.parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))
SPEC: Json = {
    "skuRef": {"resource": "skus/seca.ds", "tenant": "seca"},
    "zone": "a",
    "bootVolume": {"deviceRef": {"resource": "block-storages/d"}, "type": "virtio"},
    "odd": [None, True, -1, 0.5, 9223372036854775807, 'é 😀 " \\ / \n', {}, []],
}
JANE = Actor(
    issuer="https://id.example.org",
    sub="jane@example.org",
    token="t-1",
    assignment="admins/seca.admin",
    policy=nth(41),
    groups=("ops",),
    client_address="2001:db8::7",
    user_agent="seca-cli/1.0",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
PARTS: dict[str, dict[str, str]] = {
    "labels": {"env": "prod", "a/b": ""},
    "annotations": {"note": "é"},
    "extensions": {"billing": "x"},
}
EVENTS: dict[str, AnyEvent] = {
    "created.v2": Created(spec=SPEC),
    "created.v2.whole": Created(
        spec=SPEC,
        labels=PARTS["labels"],
        annotations=PARTS["annotations"],
        extensions=PARTS["extensions"],
    ),
    "updated.v2": Updated(spec={}),
    "updated.v2.whole": Updated(
        spec=SPEC,
        labels=PARTS["labels"],
        annotations=PARTS["annotations"],
        extensions=PARTS["extensions"],
    ),
    "action-requested.v2": ActionRequested(action="restart"),
    "deletion-requested.v2": DeletionRequested(),
    "status-reported.v2": StatusReported(state=State.ACTIVE, observed_position=nth(7)),
    "status-reported.v2.whole": StatusReported(
        state=State.ERROR,
        observed_position=nth(7),
        status={"powerState": "off", "sizeGB": 10},
        reason="NoSpace",
        message="the disks are full",
    ),
    "deleted.v2": Deleted(),
    "closed.v2": Closed(since=nth(7), version=4),
    "closed.v2.whole": Closed(since=nth(7), version=4, reason="no event"),
}


FIELDS = (
    *("v", "type", "stream", "kind", "path", "uid", "tenant", "time", "request", "cause"),
    *("previous", "salt", "actor", "body"),
)


def new_event(name: str) -> NewEvent:
    """The event in the golden file of that name."""
    whole = name.endswith(".whole")
    return NewEvent(
        ref=ONE,
        uid="0123456789abcdef0123456789abcdef",
        time=datetime(2026, 1, 1, 12, 0, 0, 123000 if whole else 0, tzinfo=UTC),
        request="r-1.0123456789ab",
        tenant="fedcba9876543210fedcba9876543210" if whole else "",
        cause=nth(42 if whole else 0),
        previous=nth(7 if whole else 0),
        salt=bytes(range(16)),
        actor=JANE if whole else Actor(sub="reconciler"),
        event=EVENTS[name],
    )


def test_every_type_has_a_golden_file() -> None:
    assert {path.stem for path in FILES} >= {f"{type_}.v{VERSION}" for type_ in TYPES}
    assert {path.stem for path in FILES} == set(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_encoded_byte_for_byte_as_in_its_golden_file(name: str) -> None:
    assert encode(new_event(name), STREAM) == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", EVENTS)
def test_a_golden_file_is_decoded_to_its_event(name: str) -> None:
    written = (GOLDEN / f"{name}.json").read_bytes()
    assert decode(written, nth(9)) == new_event(name).at(nth(9))


@pytest.mark.parametrize("name", EVENTS)
def test_an_envelope_has_exactly_its_fields(name: str) -> None:
    envelope = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    assert tuple(envelope) == FIELDS
    assert f"{envelope['type']}.v{envelope['v']}" == name.removesuffix(".whole")
    assert Ref(envelope["kind"], envelope["path"]) == ONE


def test_a_field_added_by_a_later_version_is_ignored() -> None:
    envelope = msgspec.json.decode((GOLDEN / "created.v2.json").read_bytes())
    later = envelope | {"added": 1, "body": envelope["body"] | {"added": 2}}
    recorded = decode(msgspec.json.encode(later), nth(1))
    assert recorded == new_event("created.v2").at(nth(1))


@pytest.mark.parametrize(
    "change",
    [
        {"v": 1},
        {"v": 3},
        {"v": 0},
        {"v": "1"},
        {"type": "renamed"},
        {"type": "Created"},
        {"type": ""},
        {"type": None},
        {"body": None},
        {"body": []},
        {"body": {}},
        {"body": {"spec": []}},
        {"actor": {}},
        {"uid": 7},
        {"time": "yesterday"},
        {"cause": "x"},
        {"cause": 7},
        {"previous": ["SECA"]},
        {"salt": 7},
        {"tenant": None},
    ],
)
def test_an_envelope_with_an_unknown_value_is_undecodable(change: Json) -> None:
    envelope = msgspec.json.decode((GOLDEN / "created.v2.json").read_bytes())
    with pytest.raises(Undecodable):
        decode(msgspec.json.encode(envelope | change), nth(1))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"no event", b"\xff", b"{", b"1"])
def test_data_that_is_no_envelope_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(data, nth(1))


@pytest.mark.parametrize("field", ["type", "path", "uid", "tenant", "request"])
def test_a_string_that_is_no_utf_8_is_undecodable(field: str) -> None:
    """The library raises another exception for it than for all else."""
    written = (GOLDEN / "created.v2.json").read_bytes()
    value = msgspec.json.encode(msgspec.json.decode(written)[field])
    name = b'"%b":' % field.encode()
    with pytest.raises(Undecodable):
        decode(written.replace(name + value, name + b'"\x9f"'), nth(1))


@pytest.mark.parametrize("field", FIELDS)
def test_an_envelope_with_a_missing_field_is_undecodable(field: str) -> None:
    envelope = msgspec.json.decode((GOLDEN / "created.v2.json").read_bytes())
    del envelope[field]
    with pytest.raises(Undecodable):
        decode(msgspec.json.encode(envelope), nth(1))


@pytest.mark.parametrize("event", [Created, Updated])
def test_an_event_over_the_size_limit_is_refused(event: type[Created | Updated]) -> None:
    overhead = len(encode(small(ONE, event(spec={"pad": ""})), STREAM))
    padding = "x" * (EVENT_BYTES_MAX - overhead)
    assert len(encode(small(ONE, event(spec={"pad": padding})), STREAM)) == EVENT_BYTES_MAX
    with pytest.raises(ContentTooLarge):
        encode(small(ONE, event(spec={"pad": padding + "x"})), STREAM)


def test_a_report_over_the_size_limit_is_refused() -> None:
    status = {"pad": "x" * EVENT_BYTES_MAX}
    with pytest.raises(ContentTooLarge):
        encode(
            small(
                ONE,
                StatusReported(state=State.ACTIVE, observed_position=nth(1), status=status),
            ),
            STREAM,
        )


def test_a_sealed_actor_is_read_without_a_key() -> None:
    envelope = msgspec.json.decode((GOLDEN / "created.v2.json").read_bytes())
    recorded = decode(msgspec.json.encode(envelope | {"actor": "sealed:k1:abc"}), nth(1))
    assert (recorded.actor, recorded.sub) == ("sealed:k1:abc", "")


def test_a_sealed_body_is_opened_with_a_key_and_undecodable_without_one() -> None:
    envelope = msgspec.json.decode((GOLDEN / "created.v2.json").read_bytes())
    body, sealed = msgspec.json.encode(envelope["body"]), "sealed:k1:abc"
    data = msgspec.json.encode(envelope | {"body": sealed, "tenant": "t1"})
    with pytest.raises(Undecodable, match="sealed"):
        decode(data, nth(1))
    place = context("body", ONE, envelope["uid"], envelope["request"])
    opened = {("t1", sealed, place): body}
    recorded = decode(data, nth(1), lambda *key: opened[key])
    assert recorded.event == new_event("created.v2").event
    erased = decode(data, nth(1), lambda *key: None)
    assert (erased.event, erased.erased) == (Created(spec={}), True)
