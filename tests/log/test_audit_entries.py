"""The wire format of audit entries: tests/golden/audit holds every type and version, byte for byte.
Files are added there, never changed."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from secaplane.audit.entries import (
    ENTRY_TYPES,
    HIDDEN,
    NAME_LENGTH_MAX,
    PATH_LENGTH_MAX,
    REASON_LENGTH_MAX,
    VERSION,
    Entry,
    EntryCaller,
    EntryTenant,
    EntryType,
    HeadsFacts,
    ProcessFacts,
    decode,
    encode,
    entry,
    subject,
)
from secaplane.audit.notary.leaves import facts_of
from secaplane.eventlog.codec import Undecodable
from secaplane.model.shape import Json

GOLDEN = Path(__file__).parent.parent / "golden" / "audit"
FIELDS = (
    "v",
    "type",
    "time",
    "request",
    "client_address",
    "caller",
    "verb",
    "path",
    "reason",
    "dropped",
)
JANE = EntryCaller("https://id.example.org", "jane@example.org", "t-1")
MARKER = "M4rk3r-of-a-secret"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"


FACTS = ProcessFacts(
    name="command",
    version="0.1.0",
    instance="0a1b2c3d4e5f6071",
    clock_offset_us=-12,
    clock_error_us=None,
)
HEADS = HeadsFacts(root=bytes(range(32)), size=4, streams={"SECA": 41, "SECA-audit": 7})


def of(entry_type: EntryType = "forbidden", *, whole: bool = True) -> Entry:
    made = entry(
        entry_type,
        time=datetime(2026, 1, 1, 12, 0, 0, 123000 if whole else 0, tzinfo=UTC),
        request="r-1",
        client_address="203.0.113.9",
        caller=JANE if whole else EntryCaller(),
        verb="put",
        path='/providers/seca.storage/v1/tenants/é/"x"',
        reason="you may not do this here" if whole else "",
        process=FACTS if entry_type.startswith("process-") else UNSET,
        keys=("body.u1:0a1b2c3d4e5f",) if entry_type == "key-destroyed" else UNSET,
    )
    if entry_type == "heads":
        made = replace(made, heads=HEADS)
    if entry_type == "refused":
        made = replace(made, status=409)
    return replace(made, dropped=7) if whole else made


def golden(entry_type: str) -> bytes:
    return (GOLDEN / f"{entry_type}.v{VERSION}.json").read_bytes()


def in_tenant() -> Entry:
    """With the fields that say in which tenant a request was refused."""
    return replace(of(), user_agent="curl/8.5.0", concerns=EntryTenant("u-1", False, "SECA:73"))


def test_every_type_has_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {
        *(f"{each}.v{VERSION}" for each in ENTRY_TYPES),
        f"forbidden.v{VERSION}.tenant",
    }


def test_an_entry_about_a_tenant_is_written_byte_for_byte_as_it_always_was() -> None:
    written = (GOLDEN / f"forbidden.v{VERSION}.tenant.json").read_bytes()
    assert encode(in_tenant()) == written
    assert decode(written) == in_tenant()


@pytest.mark.parametrize("entry_type", ENTRY_TYPES)
def test_an_entry_is_written_byte_for_byte_as_it_always_was(entry_type: EntryType) -> None:
    assert encode(of(entry_type, whole=entry_type != "unauthenticated")) == golden(entry_type)
    more = {
        "process-started": "process",
        "process-stopped": "process",
        "heads": "heads",
        "key-destroyed": "keys",
        "refused": "status",
    }
    named = [each for each in (more.get(entry_type),) if each]
    assert [*msgspec.json.decode(golden(entry_type))] == [*FIELDS, *named]


@pytest.mark.parametrize("entry_type", ENTRY_TYPES)
def test_every_stored_version_can_be_decoded(entry_type: EntryType) -> None:
    assert decode(golden(entry_type)) == of(entry_type, whole=entry_type != "unauthenticated")


def test_a_string_that_is_no_utf_8_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        decode(golden("forbidden").replace(b'"r-1"', b'"\x9f"'))


def test_a_field_of_a_later_release_is_ignored() -> None:
    later = msgspec.json.decode(golden("forbidden")) | {"added": 1}
    assert decode(msgspec.json.encode(later)) == of()


@pytest.mark.parametrize(
    "change", [{"v": 1}, {"v": 3}, {"type": "renamed"}, {"caller": None}, {"time": "yesterday"}]
)
def test_an_unknown_version_or_type_is_undecodable(change: Json) -> None:
    with pytest.raises(Undecodable):
        decode(msgspec.json.encode(msgspec.json.decode(golden("forbidden")) | change))


@pytest.mark.parametrize("field", FIELDS)
def test_an_entry_without_one_of_its_fields_is_undecodable(field: str) -> None:
    written = msgspec.json.decode(golden("forbidden"))
    del written[field]
    with pytest.raises(Undecodable):
        decode(msgspec.json.encode(written))


# --- tokens


@given(st.text(), st.text(), st.integers(0, 600), st.sampled_from([MARKER, JWT]))
def test_a_token_is_nowhere_in_it(before: str, after: str, pad: int, token: str) -> None:
    """Wherever a client wrote it, also where it would have been cut in two."""
    text = f"{before}{'/' * pad}{token} {after}"
    made = entry(
        "unauthenticated",
        time=of().time,
        request=text,
        client_address=text,
        verb=text,
        path=text,
        reason=text,
        secrets=["Bearer", token],
    )
    written = encode(made).decode()
    assert not any(token[:n] in written for n in (len(token), 12))


@pytest.mark.parametrize("text", [JWT, JWT.rpartition(".")[0], f"/a/{JWT}/b", f"token={JWT}"])
def test_anything_in_the_form_of_a_jwt_is_removed(text: str) -> None:
    made = entry("forbidden", time=of().time, request="", client_address="", verb="", path=text)
    assert JWT[:20] not in made.path
    assert HIDDEN in made.path


@given(st.text(alphabet=st.characters(), max_size=5000))
def test_every_text_is_bounded_and_can_be_encoded(text: str) -> None:
    """Also lone surrogates, which a path may hold."""
    made = entry(
        "forbidden",
        time=of().time,
        request=text,
        client_address=text,
        caller=EntryCaller(text, text, text),
        verb=text,
        path=text,
        reason=text,
    )
    assert decode(encode(made)) == made
    assert len(made.path) <= PATH_LENGTH_MAX
    assert len(made.reason) <= REASON_LENGTH_MAX
    caller = made.caller
    names = (made.request, made.client_address, made.verb, caller.issuer, caller.sub, caller.token)
    assert all(len(each) <= NAME_LENGTH_MAX for each in names)


# --- which entries share a limit


def test_a_subject_distinguishes_types_and_callers_but_not_tokens() -> None:
    another = replace(of(), caller=replace(JANE, token="t-2"))
    assert subject(of()) == subject(another)
    assert subject(of()) != subject(of("read"))
    assert subject(of()) != subject(replace(of(), caller=replace(JANE, sub="joe")))
    assert subject(of()) != subject(replace(of(), caller=replace(JANE, issuer="https://other")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.10", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("", "", True),
    ],
)
def test_unknown_callers_are_distinguished_by_address(one: str, other: str, same: bool) -> None:
    """IPv6 addresses by their /64."""
    subjects = {
        subject(replace(of("unauthenticated", whole=False), client_address=each))
        for each in (one, other)
    }
    assert len(subjects) == (1 if same else 2)


def test_a_stored_entry_has_a_salt_that_its_readers_ignore() -> None:
    made, salt = of("login"), bytes(range(16))
    stored = encode(made, salt)
    assert decode(stored) == made
    assert msgspec.json.decode(stored)["salt"] == "AAECAwQFBgcICQoLDA0ODw=="
    assert facts_of(stored) == ("", 1767268800123, salt)
