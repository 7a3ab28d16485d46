"""Rights to the views of the log: the history of a resource is granted apart from the resource, in
the scopes of that resource."""

import pytest

from secaplane.kinds import KINDS
from secaplane.kinds.patterns import is_pattern, nearest_pattern
from secaplane.kinds.views import ACTIVITY, AUDIT, EXPORTS, HISTORY
from secaplane.model.errors import Forbidden, Invalid
from secaplane.model.shape import Json
from secaplane.policy.grants.escalation import finished
from secaplane.policy.grants.explain import explained
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import AccessReviewSpec, Place, place
from secaplane.policy.tokens.caller import Caller
from tests.rules.test_grants import (
    JANE,
    OPERATOR,
    PLACE,
    assignment,
    permission,
    policy,
    role,
)

AUDITOR = assignment("jane", "secaplane.auditor")
ADMIN = assignment("jane", "seca.admin")
READS = "get list"


def allowed(
    known: Policy, kind: str, name: str, *, verb: str = "get", view: str = HISTORY, **ids: str
) -> bool:
    try:
        known.authorize_view(JANE, verb, view, KINDS[kind], PLACE | ids, name)
    except Forbidden:
        return False
    return True


def test_an_auditor_sees_the_history_of_every_resource_and_no_resource() -> None:
    known = policy(AUDITOR)
    for kind in KINDS.values():
        if "tenant" in kind.scope:
            assert allowed(known, kind.name, "one"), kind.name
            with_verbs = [verb for verb in kind.verbs if verb != "get" or kind.writable]
            for verb in with_verbs:
                with pytest.raises(Forbidden):
                    known.authorize(JANE, verb, kind, PLACE | {"network": "n"}, "one")
    for view in (ACTIVITY, EXPORTS):
        assert allowed(known, "tenant", "acme", verb="list", view=view)
        assert not allowed(known, "tenant", "acme", verb="post", view=view)
    assert not allowed(known, "instance", "one", verb="put")


def test_an_administrator_sees_no_history() -> None:
    known = policy(ADMIN)
    assert not allowed(known, "instance", "one")
    assert not allowed(known, "tenant", "acme", verb="list", view=ACTIVITY)


@pytest.mark.parametrize(
    ("pattern", "seen"),
    [
        ("*", True),
        ("history/*", True),
        ("history/instances/*", True),
        ("history/instances/one", True),
        ("history/instances/two", False),
        ("history/subnets/*", False),
        ("activity", False),
    ],
)
def test_a_pattern_below_history_is_a_pattern_of_resources(pattern: str, seen: bool) -> None:
    held = role("r", permission(AUDIT.full_name, pattern, "get"))
    assert allowed(policy(held, assignment("jane", "r")), "instance", "one") is seen


def test_a_nested_resource_is_found_by_its_own_name_and_below_its_parent() -> None:
    for pattern in (
        "history/subnets/s",
        "history/networks/net/*",
        "history/networks/net/subnets/s",
    ):
        held = role("r", permission(AUDIT.full_name, pattern, "get"))
        known = policy(held, assignment("jane", "r"))
        assert allowed(known, "subnet", "s", network="net"), pattern
        assert not allowed(known, "subnet", "t", network="other"), pattern


def test_a_scope_is_that_of_the_resource() -> None:
    known = policy(assignment("jane", "secaplane.auditor", {"workspaces": ["web"]}))
    assert allowed(known, "instance", "one")
    assert allowed(known, "workspace", "web")
    assert not allowed(known, "instance", "one", workspace="two")
    assert not allowed(known, "workspace", "two")
    assert not allowed(known, "role", "r")
    assert not allowed(known, "instance", "one", tenant="other")
    assert not allowed(known, "tenant", "acme", verb="list", view=ACTIVITY)


def test_only_the_configuration_grants_the_history_of_a_tenant() -> None:
    every = role("every", permission(AUDIT.full_name, "*", "*"))
    known = policy(AUDITOR, every, assignment("jane", "every"))
    assert not allowed(known, "tenant", "acme")
    tenant, instance = KINDS["tenant"], KINDS["instance"]
    known.authorize_view(OPERATOR, "get", HISTORY, tenant, {}, "acme")
    with pytest.raises(Forbidden):
        known.authorize_view(OPERATOR, "get", HISTORY, instance, PLACE, "one")


@pytest.mark.parametrize("pattern", ["history/*", "history/instances/one", "activity", "exports"])
def test_an_author_grants_only_the_history_that_the_author_sees(pattern: str) -> None:
    given: Json = {"permissions": [permission(AUDIT.full_name, pattern, "get")]}
    ref = role("given").ref
    assert finished(policy(AUDITOR).excess(JANE, ref, None, given)) == ""
    assert finished(policy(ADMIN).excess(JANE, ref, None, given)) != ""
    narrow = role("narrow", permission(AUDIT.full_name, "history/instances/*", READS))
    excess = finished(policy(narrow, assignment("jane", "narrow")).excess(JANE, ref, None, given))
    assert (excess == "") is (pattern == "history/instances/one")


def test_an_administrator_cannot_appoint_an_auditor() -> None:
    spec: Json = {"subs": ["bob"], "roles": ["secaplane.auditor"], "scopes": [{}]}
    ref = assignment("bob", "x").ref
    assert finished(policy(ADMIN).excess(JANE, ref, None, spec)) != ""
    assert finished(policy(AUDITOR).excess(JANE, ref, None, spec)) == ""


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("history/instance/*", "history/instances/*"),
        ("historie/instances/one", "history/instances/one"),
        ("history", "history/*"),
        ("history/networks/n/subnet/s", "history/networks/n/subnets/s"),
        ("activities", "activity"),
        ("export", "exports"),
        ("instances/*", "*"),
        ("history/tenants/acme", "history/roles/acme"),
    ],
)
def test_another_pattern_is_refused_with_the_nearest_one(text: str, nearest: str) -> None:
    assert not is_pattern(AUDIT.name, text)
    found = nearest_pattern(AUDIT.name, text)
    assert is_pattern(AUDIT.name, found)
    if "tenants" not in text:
        assert found == nearest


HISTORY_OF_ONE = (
    "/providers/secaplane.audit/v1/history/"
    "seca.compute/v1/tenants/acme/workspaces/web/instances/one"
)


@pytest.mark.parametrize("view", ["history", "diff", "blame"])
def test_an_access_review_knows_the_views_of_a_resource(view: str) -> None:
    spec = AccessReviewSpec(verb="get", path=HISTORY_OF_ONE.replace("/history/", f"/{view}/"))
    found = place(spec)
    assert (found.kind.name, found.name, found.view) == ("instance", "one", HISTORY)
    assert found.tenant == "acme"
    status = explained(policy(AUDITOR).explain(Caller("", "jane"), "get", *found))
    assert status.allowed
    assert not explained(policy(ADMIN).explain(Caller("", "jane"), "get", *found)).allowed


def test_a_view_takes_no_other_verb() -> None:
    with pytest.raises(Invalid):
        place(AccessReviewSpec(verb="put", path=HISTORY_OF_ONE))


def test_a_resource_is_no_view() -> None:
    path = "/providers/seca.compute/v1/tenants/acme/workspaces/web/instances/history"
    assert place(AccessReviewSpec(verb="get", path=path)) == Place(
        KINDS["instance"], {"tenant": "acme", "workspace": "web"}, "history"
    )
