"""The rows that entries of the security audit stream become, and what a path is about."""

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from secaplane.audit.entries import Entry, EntryCaller, EntryTenant, encode, entry, subject
from secaplane.audit.entry_log import NOTHING
from secaplane.eventlog.log import RawEvent
from secaplane.kinds import KINDS
from secaplane.kinds.located import Located, located
from secaplane.kinds.views import HISTORY, view_path
from secaplane.model.actor import Actor
from secaplane.model.position import Position
from secaplane.projector.entries.rows import COLUMNS, rows
from secaplane.readmodel.schema.activity import ACTIVITY
from tests.positions import nth

STREAM = "SECA-audit"
IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k"}
DISK = KINDS["block-storage"].ref(IDS, "disk").path
PATH = f"{KINDS['block-storage'].provider.base}/{DISK}"
WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def refused(*, known: bool = True, path: str = PATH) -> Entry:
    return entry(
        "forbidden",
        time=WHEN,
        request="r-1",
        client_address="203.0.113.9",
        caller=EntryCaller("https://id.example.org", "jane", "t-1", ("group:a",)),
        verb="put",
        path=path,
        reason="you may not do this here",
        user_agent="curl/8",
        concerns=EntryTenant("u-1", known, str(nth(7))),
    )


def raw(each: Entry, sequence: int = 9) -> RawEvent:
    return RawEvent(Position(STREAM, sequence), subject(each), {}, encode(each, bytes(16)))


def row_of(each: Entry) -> dict[str, object]:
    ((*values,),) = rows([raw(each)])
    return dict(zip(COLUMNS, values, strict=True))


def test_a_refusal_is_a_row_with_its_caller_resource_and_reason() -> None:
    row = row_of(replace(refused(), dropped=3))
    assert (row["tenant"], row["known"], row["time"], row["dropped"]) == ("u-1", True, WHEN, 3)
    assert (row["outcome"], row["status"], row["verb"]) == ("refused", 403, "put")
    assert (row["kind"], row["path"], row["workspace"]) == ("block-storage", DISK, "web")
    assert (row["request"], row["reason"]) == ("r-1", "you may not do this here")
    assert msgspec.json.decode(str(row["actor"]), type=Actor) == Actor(
        issuer="https://id.example.org",
        sub="jane",
        token="t-1",
        groups=("group:a",),
        policy=nth(7),
        client_address="203.0.113.9",
        user_agent="curl/8",
    )


def test_of_a_caller_that_the_tenant_does_not_know_only_what_is_counted_is_kept() -> None:
    row = row_of(refused(known=False))
    assert [row[each] for each in ("path", "request", "actor", "reason")] == ["", "", "", ""]
    assert (row["kind"], row["workspace"], row["sub"]) == ("block-storage", "web", "jane")


def test_a_write_that_was_refused_with_another_status_has_that_status() -> None:
    row = row_of(replace(refused(), type="refused", status=409))
    assert (row["outcome"], row["status"], row["verb"]) == ("refused", 409, "put")


def test_a_read_names_the_assignment_that_allowed_it() -> None:
    row = row_of(replace(refused(), type="read", reason="admins/seca.admin allows it"))
    assert (row["outcome"], row["status"]) == ("accepted", 200)
    actor = msgspec.json.decode(str(row["actor"]), type=Actor)
    assert actor.assignment == "admins/seca.admin"


@pytest.mark.parametrize(
    "without",
    [
        replace(refused(), concerns=UNSET),
        replace(refused(), type="login"),
        replace(refused(), type="orphan-removed"),
    ],
)
def test_what_is_no_request_in_a_tenant_has_no_row(without: Entry) -> None:
    assert rows([raw(without)]) == []


def test_what_cannot_be_read_and_what_stands_for_removed_entries_has_no_row() -> None:
    position, name = Position(STREAM, 1), subject(refused())
    assert rows([RawEvent(position, name, {}, b"{}"), RawEvent(position, NOTHING, {}, b"")]) == []


def test_a_row_can_be_stored_whatever_the_path_holds() -> None:
    row = row_of(refused(path="/providers/x/v1/tenants/acme/a\0b"))
    assert row["path"] == "/providers/x/v1/tenants/acme/ab"
    assert row["kind"] == ""


def test_the_columns_are_those_of_the_table() -> None:
    for name, type_ in COLUMNS.items():
        assert f"\n    {name} " in ACTIVITY.tables
        assert type_ in ACTIVITY.tables


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_path_of_a_kind_says_what_it_is_about(kind) -> None:  # type: ignore[no-untyped-def]
    for url in kind.urls:
        collection = url.format_map(IDS)
        below = collection.removeprefix(f"{kind.provider.base}/")
        workspace = "web" if "workspaces/web/" in below else ""
        assert located(collection) == Located(kind.name, below, workspace)
        one = f"{below}/one"
        inside = "one" if kind.name == "workspace" else workspace
        assert located(f"{collection}/one?asOf=x") == Located(kind.name, one, inside)
        for action in kind.actions:
            assert located(f"{collection}/one/{action}") == Located(kind.name, one, inside)
        ref = collection.removeprefix("/providers/")
        assert located(view_path(HISTORY, f"{ref}/one")) == Located(kind.name, one, inside)


@pytest.mark.parametrize("path", ["", "/", "/providers/", "/providers/a/b/c", f"{PATH}/x/y", "//"])
def test_a_path_of_something_else_is_about_nothing(path: str) -> None:
    assert located(path) == Located()
