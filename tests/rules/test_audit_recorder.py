"""Which requests are recorded in the audit stream, and what an entry holds."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from secaplane.audit.entries import (
    ALL_TENANTS,
    HIDDEN,
    UNKNOWN_CALLER,
    Entry,
    EntryCaller,
    EntryTenant,
)
from secaplane.edge.audit_recorder import TOKENS_MAX, AuditRecorder
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.model.actor import Actor
from secaplane.model.errors import BrokenRule, Forbidden, NotFound, Unauthenticated, invalid
from secaplane.policy.grants.decision import Membership
from secaplane.policy.tokens.caller import Caller
from tests.positions import nth

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


def recorder(
    entries: list[Entry], *privileged: str, proxies: tuple[str, ...] = ()
) -> AuditRecorder:
    return AuditRecorder(
        entries.append,
        clock=lambda: WHEN,
        membership=membership,
        privileged=privileged,
        proxies=TrustedProxies(proxies),
    )


def membership(caller: Caller | None, tenant: str) -> Membership:
    return Membership("u-1" if tenant == "acme" else "", caller == JANE, nth(7))


def test_a_refused_request_is_recorded_with_caller_target_and_reason() -> None:
    entries: list[Entry] = []
    recorder(entries).refused(context(), Forbidden("not you"), 403)
    (entry,) = entries
    assert entry == Entry(
        v=2,
        type="forbidden",
        time=WHEN,
        request="r-1",
        client_address="203.0.113.9",
        caller=EntryCaller("https://id.example.org", "jane", "t-1"),
        verb="list",
        path="/p",
        reason="not you",
        dropped=0,
    )


def test_a_request_without_a_caller_is_recorded_as_unknown() -> None:
    entries: list[Entry] = []
    recorder(entries).refused(context(None, verb=""), Unauthenticated("no token"), 401)
    (entry,) = entries
    assert (entry.type, entry.caller, entry.verb) == ("unauthenticated", UNKNOWN_CALLER, "get")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_write_that_is_refused_is_recorded_with_its_status_and_the_fields_alone(
    method: str,
) -> None:
    """A detail, the key of a label and an unknown field may be what must not be stored."""
    entries: list[Entry] = []
    broken = [
        BrokenRule(f"{SECRET} is no number", "/spec/sizeGB"),
        BrokenRule("takes a text", f"/labels/{SECRET}"),
        BrokenRule("unknown field", f"/{SECRET}"),
    ]
    request = context(verb=method.lower(), method=method, path="/p/tenants/acme")
    recorder(entries).refused(request, invalid(broken), 422)
    (entry,) = entries
    assert (entry.type, entry.status, entry.reason) == ("refused", 422, "/spec/sizeGB, /labels")
    assert (entry.caller.sub, entry.concerns) == ("jane", EntryTenant("u-1", True, str(nth(7))))
    assert SECRET not in repr(entry)


@pytest.mark.parametrize(
    "request_",
    [context(), context(method="HEAD"), context(None, method="PUT")],
    ids=["read", "head", "no caller"],
)
def test_other_refusals_of_reads_and_of_unknown_callers_are_not_recorded(
    request_: RequestContext,
) -> None:
    entries: list[Entry] = []
    recorder(entries).refused(request_, NotFound("x"), 404)
    assert entries == []


def test_the_token_is_removed_from_every_text() -> None:
    entries: list[Entry] = []
    request = context(None, path=f"/p/{SECRET}/x", more={"x-request-id": SECRET})
    recorder(entries).refused(request, Unauthenticated(f"{SECRET} is no token"), 401)
    (entry,) = entries
    assert (entry.path, entry.reason) == (f"/p/{HIDDEN}/x", f"{HIDDEN} is no token")
    assert SECRET not in repr(entry)


@pytest.mark.parametrize(
    "header", [SECRET, f"Basic {SECRET}", f"Bearer  {SECRET}", f"a {SECRET} b"]
)
def test_the_token_is_removed_in_whichever_form_it_was_sent(header: str) -> None:
    entries: list[Entry] = []
    request = context(None, path=f"/p/{SECRET}", more={"authorization": header})
    recorder(entries).refused(request, Unauthenticated("x"), 401)
    assert entries[0].path == f"/p/{HIDDEN}"


def test_a_trusted_proxy_names_the_client_address() -> None:
    entries: list[Entry] = []
    request = context(more={"x-forwarded-for": "198.51.100.7"})
    recorder(entries).refused(request, Forbidden("x"), 403)
    recorder(entries, proxies=("203.0.113.0/24",)).refused(request, Forbidden("x"), 403)
    recorder(entries).refused(context(client=None), Forbidden("x"), 403)
    assert [each.client_address for each in entries] == ["203.0.113.9", "198.51.100.7", ""]


def test_the_first_use_of_a_token_is_a_login() -> None:
    entries: list[Entry] = []
    recording = recorder(entries)
    for caller in (JANE, JANE, Caller(JANE.issuer, "jane", "t-2"), Caller(JANE.issuer, "joe")):
        recording.authenticated(context(caller), caller)
    assert [(each.caller.sub, each.caller.token) for each in entries] == [
        ("jane", "t-1"),
        ("jane", "t-2"),
        ("joe", ""),
    ]
    assert {each.type for each in entries} == {"login"}


def test_a_token_without_an_id_is_recognised_by_its_digest() -> None:
    entries: list[Entry] = []
    recording, joe = recorder(entries), Caller(JANE.issuer, "joe")
    for token in ("one", "one", "another"):
        recording.authenticated(context(joe, more={"authorization": f"Bearer {token}"}), joe)
    assert len(entries) == 2


def test_the_memory_of_tokens_is_bounded_and_keeps_those_in_use() -> None:
    entries: list[Entry] = []
    recording = recorder(entries)
    for n in range(TOKENS_MAX + 10):
        caller = Caller(JANE.issuer, f"s-{n}", "t")
        recording.authenticated(context(caller), caller)
        recording.authenticated(context(JANE), JANE)
    assert len(entries) == TOKENS_MAX + 10 + 1
    first = Caller(JANE.issuer, "s-0", "t")
    recording.authenticated(context(first), first)
    assert len(entries) == TOKENS_MAX + 10 + 2


def test_only_reads_of_privileged_kinds_are_recorded() -> None:
    entries: list[Entry] = []
    recording = recorder(entries, "role-assignment")
    for verb, kind in (
        ("get", "role-assignment"),
        ("list", "role-assignment"),
        ("put", "role-assignment"),
        ("get", "workspace"),
    ):
        recording.allowed(context(verb=verb), verb, kind, BY)
    assert [(each.type, each.verb) for each in entries] == [("read", "get"), ("read", "list")]
    assert entries[0].reason == "admins/seca.admin allows it"


# --- the tenant that a request was about


@pytest.mark.parametrize("caller", [JANE, Caller("https://id.example.org", "joe"), None])
def test_a_refusal_in_a_tenant_says_in_which_life_and_whether_the_caller_was_known(
    caller: Caller | None,
) -> None:
    entries: list[Entry] = []
    path = "/providers/seca.workspace/v1/tenants/acme/workspaces/web"
    request = context(caller, path=path, more={"user-agent": "curl/8"})
    recorder(entries).refused(request, Forbidden("not you"), 403)
    (entry,) = entries
    assert entry.concerns == EntryTenant("u-1", caller == JANE, str(nth(7)))
    assert entry.user_agent == "curl/8"


def test_a_refusal_in_an_unknown_tenant_belongs_to_none() -> None:
    entries: list[Entry] = []
    path = "/providers/seca.workspace/v1/tenants/unknown/workspaces/web"
    recorder(entries).refused(context(path=path), Forbidden("not you"), 403)
    recorder(entries).refused(
        context(path="/providers/seca.region/v1/regions"), Forbidden("x"), 403
    )
    assert [each.concerns for each in entries] == [UNSET, UNSET]


def test_every_read_by_the_right_of_an_operator_is_recorded() -> None:
    """Of one tenant in that tenant, a list of tenants in each."""
    entries: list[Entry] = []
    recording = recorder(entries)
    operator = Actor(issuer=JANE.issuer, sub=JANE.sub, assignment="configuration", policy=nth(3))
    base = "/providers/secaplane.admin/v1/tenants"
    recording.allowed(context(verb="get", path=f"{base}/acme"), "get", "tenant", operator)
    recording.allowed(context(verb="list", path=base), "list", "tenant", operator)
    recording.allowed(context(verb="put", path=f"{base}/acme"), "put", "tenant", operator)
    tenants = [each.concerns for each in entries]
    assert tenants == [
        EntryTenant("u-1", True, str(nth(7))),
        EntryTenant(ALL_TENANTS, True, str(nth(3))),
    ]
    assert {(each.type, each.reason) for each in entries} == {("read", "configuration allows it")}
