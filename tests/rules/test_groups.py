"""Groups: role assignments name them as `group:<issuer prefix><name>`, tokens list them in a claim
that the issuer's settings name."""

from pathlib import Path
from typing import Any

import pytest

from secaplane.audit.entries import EntryCaller, decode, encode, entry
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden
from secaplane.policy.grants.escalation import finished
from secaplane.policy.grants.explain import allowed_callers
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import Place
from secaplane.policy.tokens.caller import Caller
from secaplane.policy.tokens.groups import GROUPS_MAX
from secaplane.policy.tokens.issuer import Issuer
from tests.rules.test_grants import assignment, may, policy
from tests.rules.tokens import EC, ISSUER, asked, jwks, refused, signed, verifier
from tests.scenario import IDS, NOON

STAFF = "group:staff"


def member(*groups: str, sub: str = "jane") -> Caller:
    return Caller("iss", sub, groups=groups)


def settings(tmp_path: Path, **more: Any) -> Issuer:
    keys = str(jwks(tmp_path / "jwks.json", ec=EC))
    given: dict[str, Any] = {"issuer": ISSUER, "keys": keys, "any_audience": True}
    return Issuer(**given | {"groups_claim": "groups"} | more)


# --- the token


@pytest.mark.parametrize(
    ("claim", "claims", "groups"),
    [
        ("groups", {"groups": ["b", "a", "a"]}, ("group:a", "group:b")),
        ("groups", {"groups": "a"}, ("group:a",)),
        ("groups", {"groups": []}, ()),
        ("groups", {}, ()),
        ("", {"groups": ["a"]}, ()),
        ("https://example.org/groups", {"https://example.org/groups": ["a"]}, ("group:a",)),
        ("/realm_access/roles", {"realm_access": {"roles": ["a"]}}, ("group:a",)),
        ("/realm_access/roles", {"realm_access": []}, ()),
        ("groups", {"groups": ["", "x" * 123, "a\0", "\ud800"]}, ()),
        ("groups", {"groups": ["x" * 122]}, (f"group:{'x' * 122}",)),
    ],
)
async def test_the_configured_claim_names_the_groups(
    tmp_path: Path, claim: str, claims: dict[str, Any], groups: tuple[str, ...]
) -> None:
    tokens = verifier(settings(tmp_path, groups_claim=claim))
    assert (await asked(tokens, signed(**claims))).groups == groups


@pytest.mark.parametrize("groups", [{"a": 1}, 7, [1], [["a"]], True])
async def test_a_claim_that_is_no_list_of_names_is_refused(tmp_path: Path, groups: object) -> None:
    said = await refused(verifier(settings(tmp_path)), f"Bearer {signed(groups=groups)}")
    assert "groups is no list of group names" in said


async def test_the_number_of_groups_is_bounded(tmp_path: Path) -> None:
    tokens = verifier(settings(tmp_path))
    names = [f"g{n:03}" for n in range(GROUPS_MAX)]
    assert len((await asked(tokens, signed(groups=names))).groups) == GROUPS_MAX
    said = await refused(tokens, f"Bearer {signed(groups=[*names, 'more'])}")
    assert f"names {GROUPS_MAX + 1} groups, over the limit" in said


async def test_a_group_has_the_prefix_of_its_issuer_and_no_other(tmp_path: Path) -> None:
    other = Issuer(
        issuer="https://b.example.org",
        keys=str(tmp_path / "b.json"),
        prefix="b:",
        any_audience=True,
    )
    jwks(tmp_path / "b.json", ec=EC)
    tokens = verifier(settings(tmp_path), other)
    caller = await asked(tokens, signed(groups=["a", "b:admins"]))
    assert caller.groups == ("group:a",)
    tokens = verifier(settings(tmp_path, prefix="a:"), other)
    assert (await asked(tokens, signed(groups=["x"]))).subjects == ("a:jane", "group:a:x")


async def test_no_sub_can_pass_for_a_group(tmp_path: Path) -> None:
    said = await refused(verifier(settings(tmp_path)), f"Bearer {signed(sub='group:admins')}")
    assert "group:" in said
    with pytest.raises(ValueError, match="names groups"):
        settings(tmp_path, prefix="group:x")


# --- decisions


def test_a_member_holds_what_the_group_holds() -> None:
    known = policy(assignment(STAFF, "seca.workspace-viewer"))
    assert may(known, member(STAFF), "get", "instance", "one") is not None
    assert may(known, member(STAFF), "get", "storage-sku", "one") is not None
    assert may(known, member(), "get", "instance", "one") is None
    assert may(known, member("group:others"), "get", "instance", "one") is None
    assert may(known, member("group:staff2"), "get", "instance", "one") is None


def test_a_decision_is_cached_for_the_groups_of_the_token() -> None:
    known = policy(
        assignment(STAFF, "seca.workspace-viewer"), assignment("jane", "seca.region-admin")
    )
    for _ in range(2):
        assert may(known, member(STAFF), "get", "instance", "one") is not None
        assert may(known, member(), "put", "instance", "one") is not None
    left = policy(assignment(STAFF, "seca.workspace-viewer"))
    for _ in range(2):
        assert may(left, member(STAFF), "get", "instance", "one") is not None
        assert may(left, member(), "get", "instance", "one") is None


def test_the_actor_names_the_groups_that_hold_something_in_the_tenant() -> None:
    known = policy(assignment(STAFF, "seca.workspace-viewer"))
    actor = may(known, member("group:a", STAFF), "get", "instance", "one")
    assert isinstance(actor, Actor)
    assert (actor.sub, actor.groups) == ("jane", (STAFF,))
    assert actor.assignment == f"{STAFF}-seca.workspace-viewer/seca.workspace-viewer"


def test_a_group_can_be_an_operator() -> None:
    known = Policy(operators=["group:ops"], region="eu-1", fresh=lambda: True)
    assert may(known, member("group:ops"), "put", "tenant", "new") is not None
    with pytest.raises(Forbidden):
        known.authorize(member(), "put", KINDS["tenant"], {}, "new")


def test_an_author_can_grant_what_the_group_holds() -> None:
    known = policy(assignment(STAFF, "seca.admin"))
    given = assignment("bob", "seca.workspace-viewer")
    assert finished(known.excess(member(STAFF), given.ref, None, given.spec)) == ""
    assert finished(known.excess(member(), given.ref, None, given.spec)) != ""


# --- reviews and audit entries


def test_an_explanation_knows_groups() -> None:
    known = policy(assignment(STAFF, "seca.workspace-viewer"))
    for caller in (member(STAFF), Caller("", STAFF)):
        rule = known.explain(caller, "get", KINDS["instance"], IDS, "one").rule
        assert rule is not None
        assert rule.assignment.startswith(STAFF)
    assert known.explain(member(), "get", KINDS["instance"], IDS, "one").rule is None


async def test_the_callers_who_may_are_subs_and_groups() -> None:
    known = policy(assignment(STAFF, "seca.admin"), assignment("jane", "seca.admin"))
    place = Place(KINDS["instance"], IDS, "one")
    assert (await allowed_callers(known, "put", place, "acme")).callers == (STAFF, "jane")


def test_an_audit_entry_names_the_groups() -> None:
    caller = EntryCaller("iss", "jane", "t", (STAFF, "x" * 400))
    made = entry(
        "login", time=NOON, request="r", client_address="::1", caller=caller, verb="get", path="/"
    )
    assert made.caller.groups
    assert made.caller.groups[0] == STAFF
    assert len(made.caller.groups[1]) == 256
    assert decode(encode(made)) == made


def test_a_group_without_a_name_is_refused() -> None:
    check = KINDS["role-assignment"].rules.check
    assert check is not None
    spec = {"subs": ["jane", "group:"], "roles": ["seca.admin"], "scopes": [{}]}
    assert [rule.pointer for rule in check(spec)] == ["/spec/subs/1"]
    assert not list(check(spec | {"subs": [STAFF]}))
