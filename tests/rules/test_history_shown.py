"""Entries of a history, the event that set each field, and the points that a request names. Secrets
are never shown."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from secaplane.kinds import KINDS
from secaplane.model.actor import Actor, ShownActor
from secaplane.model.desired import SECRET, with_secrets_hidden
from secaplane.model.document import document
from secaplane.model.errors import Malformed
from secaplane.model.events import AnyEvent, Created, RecordedEvent, StatusReported, Updated
from secaplane.model.evolve import evolve
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.query.history.blame import (
    FIELDS_BYTES_MAX,
    FIELDS_MAX,
    Blame,
    BoundedFields,
    SetBy,
    shown_field,
)
from secaplane.query.history.callers import with_caller
from secaplane.query.history.entries import CHANGED_MAX, changed_fields, entry
from secaplane.query.history.lives import began_in_present_lives
from secaplane.query.history.past import erased_document
from secaplane.query.history.points import as_of, point
from secaplane.readmodel.history_row import HistoryRow
from secaplane.sealing.fingerprint import fingerprint
from tests.positions import nth
from tests.scenario import IDS, history

INSTANCE, DISK = KINDS["instance"], KINDS["block-storage"]
ONE, VOLUME = INSTANCE.ref(IDS, "one"), DISK.ref(IDS, "disk")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
States = list[tuple[HistoryRow, Resource]]


def states(ref: Ref, *events: AnyEvent) -> States:
    """Each event as a row, with the resource after it; the oldest first."""
    found, resource = list[tuple[HistoryRow, Resource]](), None
    for recorded in history(ref, *events):
        resource = evolve(resource, recorded)
        found.append((row(recorded, resource), resource))
    return found


def row(recorded: RecordedEvent, resource: Resource) -> HistoryRow:
    return HistoryRow(
        stream=recorded.position.stream,
        sequence=recorded.position.sequence,
        uid=recorded.uid,
        time=recorded.time,
        type="updated",
        request=recorded.request,
        cause="",
        actor=msgspec.json.encode(recorded.actor).decode(),
        resource=msgspec.json.encode(resource).decode(),
    )


def fields_of(blame: Blame, *, whole: bool) -> list[Json]:
    return [shown_field(pointer, by) for pointer, by in blame.ended(whole=whole)]


def sealed(secret: str, nonce: str) -> str:
    return f"sealed:k1:digest-of-{secret}:{nonce}"


def test_an_entry_names_the_fields_that_its_event_changed() -> None:
    found = states(
        VOLUME,
        Created(spec={"sizeGB": 10, "skuRef": "a"}, labels={"env": "dev"}),
        Updated(spec={"sizeGB": 20, "skuRef": "a"}, labels={"env": "prod", "a/b": "c"}),
        StatusReported(state=State.ACTIVE, observed_position=nth(2), status={"sizeGB": 20}),
    )
    befores: list[Resource | None] = [None, *(resource for _, resource in found)]
    shown = [
        entry(row, resource, before)
        for (row, resource), before in zip(found, befores, strict=False)
    ]
    assert [each["changed"] for each in shown] == [
        ["/labels", "/spec"],
        ["/labels/env", "/labels/a~1b", "/spec/sizeGB"],
        [],
    ]
    assert [each["resourceVersion"] for each in shown] == [1, 2, 2]
    assert [each["state"] for each in shown] == ["pending", "updating", "active"]
    assert shown[0]["position"] == str(nth(1))
    assert shown[0]["actor"] == {"sub": "jane"}


def test_an_actor_is_shown_as_it_was_recorded() -> None:
    actor = Actor(
        issuer="https://iss",
        sub="a:jane",
        token="t1",
        groups=("group:a:g",),
        assignment="editors/editor",
        policy=nth(7),
        client_address="192.0.2.1",
        user_agent="curl",
        traceparent="00-x",
    )
    ((first, resource),) = states(VOLUME, Created(spec={}))
    shown = entry(first._replace(actor=msgspec.json.encode(actor).decode()), resource, None)
    assert shown["actor"] == {
        "sub": "a:jane",
        "issuer": "https://iss",
        "token": "t1",
        "groups": ("group:a:g",),
        "assignment": "editors/editor",
        "policyRevision": str(nth(7)),
        "clientAddress": "192.0.2.1",
        "userAgent": "curl",
    }


def test_a_sealed_actor_is_not_shown() -> None:
    ((first, resource),) = states(VOLUME, Created(spec={}))
    shown = entry(first._replace(actor='"sealed:k1:abc"'), resource, None)
    assert shown["actor"] == {"sub": "<sealed>"}


async def test_a_sealed_actor_is_opened_for_an_answer_and_a_clear_one_is_not_asked_for() -> None:
    asked = list[str]()

    async def opened(sealed: str, ref: Ref, uid: str, tenant: str, request: str) -> ShownActor:
        asked.append(sealed)
        return ShownActor(sub="<erased>", pseudonym="0a1b")

    ((first, resource),) = states(VOLUME, Created(spec={}))
    assert await with_caller(opened, first, VOLUME, "t") is first
    row = await with_caller(opened, first._replace(actor='"person:x"'), VOLUME, "t")
    assert entry(row, resource, None)["actor"] == {"sub": "<erased>", "pseudonym": "0a1b"}
    assert asked == ["person:x"]


def test_erased_contents_are_shown_as_such() -> None:
    found = states(VOLUME, Created(spec={"sizeGB": 10}, labels={"env": "dev"}))
    row, resource = found[0]
    assert entry(row, resource, None, erased=True)["changed"] == ["<erased>"]
    shown = msgspec.json.decode(erased_document(KINDS[VOLUME.kind], resource, region="eu"))
    assert (shown["spec"], shown["status"]) == ("<erased>", "<erased>")
    assert shown["metadata"]["name"] == VOLUME.name
    assert "labels" not in shown
    assert "dev" not in str(shown)


def test_the_pointers_of_an_entry_are_bounded() -> None:
    many = {f"k{n}": "v" for n in range(64)}
    found = states(
        VOLUME,
        Created(spec={"a": {}}, labels={"x": "y"}, annotations={"x": "y"}),
        Updated(spec={"a": {}}, labels=many | {"x": "y"}, annotations=many | {"x": "y"}),
    )
    shown = entry(found[1][0], found[1][1], found[0][1])
    assert (len(shown["changed"]), shown["changedMore"]) == (CHANGED_MAX, True)


def test_a_secret_changed_only_if_its_digest_did() -> None:
    spec: Json = {"zone": "a"}
    found = states(
        ONE,
        Created(spec=spec | {"userData": sealed("one", "n1")}),
        Updated(spec=spec | {"userData": sealed("one", "n2")}),
        Updated(spec=spec | {"userData": sealed("two", "n3")}),
    )
    resources = [resource for _, resource in found]
    assert list(changed_fields(resources[1], resources[0])) == []
    assert list(changed_fields(resources[2], resources[1])) == ["/spec/userData"]


def test_no_secret_no_digest_and_no_ciphertext_is_shown() -> None:
    found = states(
        ONE,
        Created(spec={"zone": "a", "userData": sealed("one", "n1")}),
        Updated(spec={"zone": "a", "userData": sealed("two", "n2")}),
    )
    blame = Blame(*found[1])
    blame.older(*found[0])
    entries = [entry(*found[0], None), entry(*found[1], found[0][1])]
    hidden = with_secrets_hidden(INSTANCE, found[1][1])
    text = msgspec.json.encode(
        [entries, fields_of(blame, whole=True), document(INSTANCE, hidden, region="eu")]
    ).decode()
    assert "sealed" not in text
    assert "digest" not in text
    assert hidden.spec["userData"] == SECRET


def test_secrets_of_a_status_are_hidden_too() -> None:
    account = KINDS["object-storage-account"]
    ((_, resource),) = states(account.ref(IDS, "a"), Created(spec={}))
    reported = msgspec.structs.replace(resource, observed={"secretKey": sealed("s", "n")})
    assert with_secrets_hidden(account, reported).observed == {"secretKey": SECRET}
    assert with_secrets_hidden(DISK, reported) is reported


def test_a_fingerprint_leaves_out_what_differs_between_two_seals() -> None:
    assert fingerprint(sealed("x", "n1")) == fingerprint(sealed("x", "n2"))
    assert fingerprint(sealed("x", "n1")) != fingerprint(sealed("y", "n1"))
    assert fingerprint("plain:a:b:c") == "plain:a:b:c"


def test_each_field_is_blamed_on_the_event_that_set_it_last() -> None:
    found = states(
        VOLUME,
        Created(spec={"sizeGB": 10, "tags": ["a", "b"]}, labels={"env": "dev"}),
        Updated(spec={"sizeGB": 20, "tags": ["a", "b"]}, labels={"env": "dev"}),
        Updated(spec={"sizeGB": 20, "tags": ["a", "c"]}, labels={"env": "prod"}),
        Updated(spec={"sizeGB": 20, "tags": ["a", "c"]}, labels={"env": "dev"}),
    )
    blame = Blame(*found[-1])
    for each in reversed(found[:-1]):
        blame.older(*each)
    set_by = {each["pointer"]: each["resourceVersion"] for each in fields_of(blame, whole=True)}
    assert set_by == {"/labels/env": 4, "/spec/sizeGB": 2, "/spec/tags/0": 1, "/spec/tags/1": 3}


def test_what_was_not_looked_at_is_said() -> None:
    found = states(VOLUME, Created(spec={"a": 1}), Updated(spec={"a": 1, "b": 2}))
    blame = Blame(*found[1])
    fields = {each["pointer"]: each for each in fields_of(blame, whole=False)}
    assert {each: one.get("orBefore") for each, one in fields.items()} == {
        "/spec/a": True,
        "/spec/b": True,
    }


# --- points


def test_a_point_is_a_position_a_time_or_a_version() -> None:
    assert as_of("SECA:73", "asOf", now=NOW) == Position("SECA", 73)
    assert as_of("2026-11-30T11:00:00Z", "asOf", now=NOW) == NOW - timedelta(hours=1)
    later = datetime(2026, 11, 30, 12, tzinfo=timezone(timedelta(hours=1)))
    for text in ("2026-11-30T12:00:00+01:00", "2026-11-30T12:00:00 01:00"):
        assert as_of(text, "asOf", now=NOW) == later
    assert point("7", "from", now=NOW) == 7


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "yesterday", "2026-11-30", "2026-11-30T11:00:00", "SECA", "x" * 10_000),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        as_of(text, "asOf", now=NOW)
    assert refused.value.sources[0].parameter == "asOf"


def test_a_time_that_is_not_past_yet_has_no_answer() -> None:
    with pytest.raises(Malformed) as refused:
        as_of("2026-11-30T12:00:01Z", "asOf", now=NOW)
    assert "not past yet" in refused.value.detail


# --- lives


def test_a_life_that_began_before_its_parent_is_not_shown() -> None:
    ((volume_row, volume),) = states(VOLUME, Created(spec={}))
    web = KINDS["workspace"].ref(IDS, "web")
    ((web_row, workspace),) = states(web, Created(spec={}))

    def shown(life: int, *, ended: bool = False) -> bool:
        parent = msgspec.structs.replace(workspace, life=nth(life))
        text = msgspec.json.encode(parent).decode()
        row = web_row._replace(resource=text, type="deleted" if ended else "updated")
        later = msgspec.structs.replace(volume, life=nth(5))
        return began_in_present_lives(later, [row])

    assert volume_row.position == nth(1)
    assert shown(4)
    assert not shown(6)
    assert not shown(4, ended=True)
    assert not began_in_present_lives(volume, [None])


def test_the_answer_about_very_many_fields_is_bounded_and_says_so() -> None:
    """A workspace of 1 MiB has 100,000 fields, and each would repeat its event."""
    (first, resource), *_ = states(ONE, Created(spec={}))

    def answered(number: int, user_agent: str = "") -> Json:
        actor = msgspec.json.encode(Actor(sub="jane", user_agent=user_agent)).decode()
        by = SetBy(first._replace(actor=actor), resource.version)
        fields = BoundedFields()
        for n in range(number):
            if fields.full:
                break
            fields.append(f"/spec/{n}", by)
        answer: Json = msgspec.json.decode(fields.answer({"resourceVersion": 1}))
        return answer

    whole, cut = answered(FIELDS_MAX), answered(FIELDS_MAX + 1)
    assert (len(whole["fields"]), "fieldsMore" in whole) == (FIELDS_MAX, False)
    assert (len(cut["fields"]), cut["fieldsMore"]) == (FIELDS_MAX, True)
    large = answered(100, "x" * (FIELDS_BYTES_MAX // 10))
    assert (len(large["fields"]) <= 11, large["fieldsMore"]) == (True, True)
