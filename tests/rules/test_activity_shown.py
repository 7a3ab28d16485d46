"""The activity as it is asked for, merged and shown."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.edge.problem_table import BASE, PROBLEMS, SLUGS, statuses_of
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.errors import Malformed
from secaplane.model.position import Position
from secaplane.model.shape import Json
from secaplane.query.activity.asked import ActivityAsked, asked
from secaplane.query.activity.items import TenantNames, activity_log, item, name_of, named
from secaplane.query.activity.merging import newest_first
from secaplane.query.activity.pseudonyms import UNAUTHENTICATED, is_pseudonym, pseudonym
from secaplane.readmodel.activity_rows import (
    Activity,
    EntryActivity,
    EventActivity,
    UnknownCaller,
    UnknownCallers,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NAMES = TenantNames(KEY, "u-1")
IDS = {"tenant": "acme", "workspace": "web"}
DISK = KINDS["block-storage"].ref(IDS, "disk").path
ACTOR = msgspec.json.encode(
    Actor(issuer="iss", sub="ada", assignment="a/seca.admin", client_address="203.0.113.9")
).decode()


def event(seconds: int = 0, sequence: int = 1, type_: str = "updated") -> EventActivity:
    time = NOON + timedelta(seconds=seconds)
    of = ("block-storage", DISK, "u-2")
    return EventActivity(
        time, "SECA", sequence, *of, type_, "r-1", "", ACTOR, type_ == "x", "", None
    )


def entry(seconds: int = 0, sequence: int = 1) -> EntryActivity:
    time = NOON + timedelta(seconds=seconds)
    outcome = ("refused", 403, "post.start", "block-storage", DISK)
    return EntryActivity(time, "SECA-audit", sequence, *outcome, "r-2", ACTOR, "no", 4)


def hour(number: int = 0) -> UnknownCallers:
    mallory = UnknownCaller("iss", "mallory", 5, 7, NOON, ["get"], ["workspace"])
    without_token = UnknownCaller("", "", 2, 0, NOON, ["put"], [])
    begun = NOON + timedelta(hours=number)
    return UnknownCallers(begun, 7, 7, 2, NOON, (mallory, without_token))


# --- pseudonyms


def test_a_caller_has_one_pseudonym_in_a_life_of_a_tenant_and_others_elsewhere() -> None:
    one = pseudonym(KEY, "u-1", "iss", "mallory")
    assert one == pseudonym(KEY, "u-1", "iss", "mallory")
    assert is_pseudonym(one)
    others = [
        pseudonym(KEY, "u-2", "iss", "mallory"),
        pseudonym(OTHER_KEY, "u-1", "iss", "mallory"),
        pseudonym(KEY, "u-1", "other", "mallory"),
        pseudonym(KEY, "u-1", "iss", "mallet"),
    ]
    assert len({one, *others}) == 5


def test_requests_without_a_valid_token_share_one_name() -> None:
    assert pseudonym(KEY, "u-1", "", "") == UNAUTHENTICATED
    assert is_pseudonym(UNAUTHENTICATED)
    assert not is_pseudonym("mallory")


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_callers_are_hashed_as_one_text(a: str, b: str, c: str, d: str) -> None:
    if (a, b) != (c, d):
        assert pseudonym(KEY, "u", a, b) != pseudonym(KEY, "u", c, d)


# --- merging


async def source(rows: Sequence[Activity]) -> AsyncIterator[Activity]:
    for each in rows:
        yield each


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=6), max_size=4))
async def test_sources_are_merged_with_the_newest_first(keys: list[list[tuple[int, int]]]) -> None:
    made = [
        sorted((event(*each) for each in some), key=lambda row: row.key, reverse=True)
        for some in keys
    ]
    merged = [each async for each in newest_first([source(each) for each in made])]
    every = [each for some in made for each in some]
    assert [each.key for each in merged] == sorted((each.key for each in every), reverse=True)


async def test_the_count_of_an_hour_comes_after_everything_in_it() -> None:
    rows: list[list[Activity]] = [[event(3599), event(0)], [hour()], [entry(0), entry(-1)]]
    merged = [each async for each in newest_first([source(each) for each in rows])]
    assert merged == [event(3599), entry(0), event(0), hour(), entry(-1)]


# --- items


def test_an_event_says_who_did_what_by_which_right_and_where_it_is_in_the_log() -> None:
    shown = item(event(), NAMES)
    assert (shown["position"], shown["outcome"], shown["verb"]) == ("SECA:1", "accepted", "put")
    assert shown["resource"] == {
        "kind": "block-storage",
        "ref": f"seca.storage/v1/{DISK}",
        "uid": "u-2",
    }
    assert shown["actor"]["assignment"] == "a/seca.admin"
    assert shown["status"] == 200


@pytest.mark.parametrize(
    ("type_", "failed", "outcome", "verb"),
    [
        ("status-reported", False, "reported", "report"),
        ("status-reported", True, "failed", "report"),
        ("deleted", False, "reported", "report"),
        ("deletion-requested", False, "accepted", "delete"),
        ("action-requested", False, "accepted", "post"),
        ("closed", False, "reported", "close"),
    ],
)
def test_each_event_has_an_outcome(type_: str, failed: bool, outcome: str, verb: str) -> None:
    shown = item(event(type_=type_)._replace(failed=failed), NAMES)
    assert (shown["outcome"], shown["verb"]) == (outcome, verb)
    assert ("status" in shown) == (outcome == "accepted")


def test_a_refusal_says_how_many_were_left_out_before_it() -> None:
    shown = item(entry(), NAMES)
    assert (shown["type"], shown["status"], shown["leftOut"]) == ("refused", 403, 4)
    assert (shown["position"], shown["reason"]) == ("SECA-audit:1", "no")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_refusal_names_the_type_of_its_problem_as_the_answer_did(slug: str) -> None:
    for status in statuses_of(slug):
        shown = item(entry()._replace(status=status), NAMES)
        assert (shown["status"], shown["problem"]) == (status, f"{BASE}/{slug}")


def test_a_status_has_one_type_of_problem() -> None:
    assert len({row[:2] for row in PROBLEMS.values()}) == len({row[0] for row in PROBLEMS.values()})
    assert "problem" not in item(entry()._replace(status=200, outcome="accepted"), NAMES)


def test_unknown_callers_are_shown_by_pseudonyms_and_counts_alone() -> None:
    shown = item(hour(), NAMES)
    assert (shown["refused"], shown["leftOut"], shown["callers"]) == (7, 7, 2)
    first, second = shown["most"]
    assert first["actor"] == {"sub": pseudonym(KEY, "u-1", "iss", "mallory")}
    assert (first["refused"], first["leftOut"], first["verbs"]) == (5, 7, ["get"])
    assert second["actor"] == {"sub": UNAUTHENTICATED}
    assert b"mallory" not in msgspec.json.encode(shown)


def test_the_form_of_the_standard_keeps_its_limits() -> None:
    kind = KINDS["activity-log"]
    rows: tuple[Activity, ...] = (event(), entry(), hour())
    shown = [activity_log(each, kind, IDS, NAMES, "eu-1") for each in rows]
    assert [each["metadata"]["name"] for each in shown] == [
        "seca-1",
        "seca-audit-1",
        "unknown-callers-2026113012",
    ]
    specs: list[Json] = [each["spec"] for each in shown]
    for each in specs:
        msgspec.convert(each, kind.spec)
    assert [each["response"]["code"] for each in specs] == [200, 403, 403]
    assert specs[1]["request"]["verb"] == "post"
    assert specs[2]["subject"].startswith("14 refused requests of 2 unknown callers: stranger-")


@given(st.sampled_from(("SECA", "SECA-audit", "S_1-2")), st.integers(1, 10**17))
def test_the_name_of_an_entry_leads_to_its_position(stream: str, sequence: int) -> None:
    row = entry()._replace(stream=stream, sequence=sequence)
    assert named(name_of(row), ("SECA", "SECA-audit", "S_1-2")) == Position(stream, sequence)


def test_the_name_of_an_hour_leads_to_it() -> None:
    assert named(name_of(hour()), ("SECA",)) == hour().hour


@pytest.mark.parametrize(
    "name",
    ["", "seca", "seca-", "seca-0", "seca-01", "seca--1", "else-1", "seca-1.0", "SECA-1"]
    + [f"unknown-callers-{text}" for text in ("2026113024", "202611301", "9", "20261130120")]
    + ["seca-" + "9" * 19],
)
def test_a_name_that_no_entry_can_have_leads_to_nothing(name: str) -> None:
    assert named(name, ("SECA", "SECA-audit")) is None


# --- filters


def test_filters_are_taken_as_they_are_sent() -> None:
    sent = {"actor": "ada", "verb": "put", "kind": "nic", "outcome": "failed", "workspace": "web"}
    sent |= {"problem": "resource-conflict"}
    sent |= {"from": "2026-11-30T11:00:00Z", "to": "2026-11-30T13:00:00+02:00", "limit": "9"}
    assert asked(sent, now=NOON) == ActivityAsked(
        actor="ada",
        verb="put",
        kind="nic",
        outcome="failed",
        problem="resource-conflict",
        since=NOON - timedelta(hours=1),
        until=NOON - timedelta(hours=1),
        workspace="web",
    )
    assert asked({}, now=NOON) == ActivityAsked()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actor", "a" * 257),
        ("actor", "a\0"),
        ("workspace", "a" * 257),
        ("verb", "patch"),
        ("kind", "disk"),
        ("outcome", "denied"),
        ("problem", "409"),
        ("from", "yesterday"),
        ("from", "SECA:7"),
        ("to", "2026-11-30T12:00:01Z"),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused(name: str, value: str) -> None:
    with pytest.raises(Malformed) as refused:
        asked({name: value}, now=NOON)
    assert refused.value.sources[0].parameter == name
