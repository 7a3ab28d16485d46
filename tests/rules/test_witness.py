"""Who is recorded, as what, and what of a request is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from secaplane.audit.entries import HIDDEN, UNKNOWN_CALLER, Entry, EntryCaller
from secaplane.edge.audit_recorder import KNOWN_MAX, AuditRecorder
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Conflict, Forbidden, NotFound, Refusal, Unauthenticated
from secaplane.model.events import Actor
from secaplane.policy.tokens.caller import Caller

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
JANE = Caller("https://id.example.org", "jane", "t-1")
BY = Actor(issuer=JANE.issuer, sub=JANE.sub, assignment="admins/seca.admin")
SECRET = "0paque-M4rk3r"


def context(caller: Caller | None = JANE, *, verb: str = "list", **scope: Any) -> RequestContext:
    headers = {"authorization": f"Bearer {SECRET}", "x-request-id": "r-1"} | scope.pop("more", {})
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    made = RequestContext(
        {"method": "GET", "path": "/p", "client": ("203.0.113.9", 7), "headers": sent} | scope
    )
    made.caller, made.verb = caller, verb
    return made


def witness(told: list[Entry], *privileged: str, proxies: tuple[str, ...] = ()) -> AuditRecorder:
    return AuditRecorder(
        told.append, clock=lambda: WHEN, privileged=privileged, proxies=TrustedProxies(proxies)
    )


def test_a_refusal_says_who_what_and_why() -> None:
    told: list[Entry] = []
    witness(told).refused(context(), Forbidden("not you"))
    (entry,) = told
    assert entry == Entry(
        v=1,
        type="forbidden",
        time=WHEN,
        request="r-1",
        source="203.0.113.9",
        caller=EntryCaller("https://id.example.org", "jane", "t-1"),
        verb="list",
        path="/p",
        reason="not you",
        dropped=0,
    )


def test_nobody_is_nobody() -> None:
    told: list[Entry] = []
    witness(told).refused(context(None, verb=""), Unauthenticated("no token"))
    (entry,) = told
    assert (entry.type, entry.caller, entry.verb) == ("unauthenticated", UNKNOWN_CALLER, "get")


@pytest.mark.parametrize("refusal", [NotFound("x"), Conflict("x")])
def test_other_refusals_are_no_matter_of_who_may(refusal: Refusal) -> None:
    told: list[Entry] = []
    witness(told).refused(context(), refusal)
    assert told == []


def test_the_token_is_hidden_wherever_its_owner_wrote_it() -> None:
    told: list[Entry] = []
    asked = context(None, path=f"/p/{SECRET}/x", more={"x-request-id": SECRET})
    witness(told).refused(asked, Unauthenticated(f"{SECRET} is no token"))
    (entry,) = told
    assert (entry.path, entry.reason) == (f"/p/{HIDDEN}/x", f"{HIDDEN} is no token")
    assert SECRET not in repr(entry)


@pytest.mark.parametrize(
    "header", [SECRET, f"Basic {SECRET}", f"Bearer  {SECRET}", f"a {SECRET} b"]
)
def test_it_is_hidden_however_it_was_sent(header: str) -> None:
    told: list[Entry] = []
    asked = context(None, path=f"/p/{SECRET}", more={"authorization": header})
    witness(told).refused(asked, Unauthenticated("x"))
    assert told[0].path == f"/p/{HIDDEN}"


def test_a_proxy_that_is_trusted_says_where_it_came_from() -> None:
    told: list[Entry] = []
    asked = context(more={"x-forwarded-for": "198.51.100.7"})
    witness(told).refused(asked, Forbidden("x"))
    witness(told, proxies=("203.0.113.0/24",)).refused(asked, Forbidden("x"))
    witness(told).refused(context(client=None), Forbidden("x"))
    assert [each.source for each in told] == ["203.0.113.9", "198.51.100.7", ""]


def test_a_token_is_a_login_once() -> None:
    told: list[Entry] = []
    watching = witness(told)
    for caller in (JANE, JANE, Caller(JANE.issuer, "jane", "t-2"), Caller(JANE.issuer, "joe")):
        watching.came(context(caller), caller)
    assert [(each.caller.sub, each.caller.token) for each in told] == [
        ("jane", "t-1"),
        ("jane", "t-2"),
        ("joe", ""),
    ]
    assert {each.type for each in told} == {"login"}


def test_a_token_without_an_id_is_known_by_what_it_is() -> None:
    told: list[Entry] = []
    watching, joe = witness(told), Caller(JANE.issuer, "joe")
    for token in ("one", "one", "another"):
        watching.came(context(joe, more={"authorization": f"Bearer {token}"}), joe)
    assert len(told) == 2


def test_so_many_tokens_are_known_and_those_in_use_stay() -> None:
    told: list[Entry] = []
    watching = witness(told)
    for n in range(KNOWN_MAX + 10):
        caller = Caller(JANE.issuer, f"s-{n}", "t")
        watching.came(context(caller), caller)
        watching.came(context(JANE), JANE)
    assert len(told) == KNOWN_MAX + 10 + 1
    first = Caller(JANE.issuer, "s-0", "t")
    watching.came(context(first), first)
    assert len(told) == KNOWN_MAX + 10 + 2


def test_only_reads_of_what_is_privileged_are_recorded() -> None:
    told: list[Entry] = []
    watching = witness(told, "role-assignment")
    for verb, kind in (
        ("get", "role-assignment"),
        ("list", "role-assignment"),
        ("put", "role-assignment"),
        ("get", "workspace"),
    ):
        watching.allowed(context(verb=verb), verb, kind, BY)
    assert [(each.type, each.verb) for each in told] == [("read", "get"), ("read", "list")]
    assert told[0].reason == "admins/seca.admin allows it"
