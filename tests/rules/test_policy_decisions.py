"""Access reviews: a decision with its reason, and the callers that are allowed."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
from secaplane.model.kind import Kind
from secaplane.model.shape import Json
from secaplane.policy.grants.decision import PolicyDecision
from secaplane.policy.grants.explain import allowed_callers, explained
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import CALLERS_MAX, AccessReviewSpec, Place, place
from tests.rules.test_grants import (
    JANE,
    OPERATOR,
    PLACE,
    STRANGER,
    assignment,
    permission,
    policy,
    role,
)

INSTANCE = KINDS["instance"]
VERBS = ("get", "list", "put", "delete", "post.start")


def shown(decision: PolicyDecision) -> Any:
    """The status of the review, as it is sent."""
    return msgspec.to_builtins(explained(decision))


def test_an_allowed_request_names_the_rule() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    status = shown(known.explain(JANE, "put", INSTANCE, PLACE, "one"))
    assert status["allowed"]
    assert status["policyRevision"] == "SECA:7"
    named = {"assignment": "jane-seca.workspace-admin", "role": "seca.workspace-admin"}
    given = {"resource": "instances/*", "verb": "put", "workspace": "web", "region": "*"}
    assert status["by"] == named | given | {"provider": "seca.compute", "tenant": "acme"}


def test_a_denied_request_names_the_nearest_rules_and_their_mismatches() -> None:
    reads = role("r", permission("seca.compute", "instances/*", "get list"))
    known = policy(reads, assignment("jane", "r"))
    status = shown(known.explain(JANE, "put", INSTANCE, PLACE, "one"))
    assert not status["allowed"]
    assert {*map(tuple, (each["fails"] for each in status["nearest"]))} == {("verb",)}
    assert "r" in {each.get("role") for each in status["nearest"]}


def test_a_caller_without_assignments_gets_that_as_reason() -> None:
    status = shown(policy().explain(STRANGER, "get", INSTANCE, PLACE, "one"))
    assert (status["allowed"], status["nearest"]) == (False, ())
    assert status["reason"] == "no assignment in the tenant names this caller"


async def test_allowed_callers_are_those_of_the_assignments_that_allow_it() -> None:
    known = policy(
        assignment("jane", "seca.admin"),
        assignment("viewer", "seca.workspace-viewer"),
        assignment("bob", "seca.admin", {"workspaces": ["other"]}),
    )
    assert await allowed(known, "put", INSTANCE, "one") == ("jane",)
    assert await allowed(known, "get", INSTANCE, "one") == ("jane", "viewer")
    assert await allowed(known, "list", KINDS["region"]) == ("*",)
    known.update([assignment("*", "seca.admin")], known.revision)
    assert await allowed(known, "put", INSTANCE, "one") == ("*",)


async def allowed(
    known: Policy, verb: str, kind: Kind, name: str = ""
) -> tuple[str, ...] | UnsetType:
    status = await allowed_callers(known, verb, Place(kind, PLACE, name), "acme")
    assert (status.policy_revision, status.allowed, status.more) == ("SECA:7", UNSET, UNSET)
    return status.callers


async def test_the_list_of_allowed_callers_is_bounded() -> None:
    names = [f"c{n:04}" for n in range(CALLERS_MAX + 1)]
    held = assignment("x", "seca.admin")
    known = policy(msgspec.structs.replace(held, spec=held.spec | {"subs": names}))
    status = await allowed_callers(known, "put", Place(INSTANCE, PLACE, "one"), "acme")
    assert (status.callers, status.more) == (tuple(names[:-1]), True)


def test_a_grant_in_another_workspace_is_named_as_nearest() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["two"]}))
    status = shown(known.explain(JANE, "put", INSTANCE, PLACE, "one"))
    assert (status["allowed"], status["reason"]) == (
        False,
        "the nearest permission does not match in: workspace",
    )
    assert [(each["workspace"], each["fails"]) for each in status["nearest"]] == [
        ("two", ("workspace",))
    ]


def test_an_explanation_considers_a_bounded_number_of_rules() -> None:
    scope: Json = {"regions": ["*"] * 64, "workspaces": ["*"] * 256}
    known = policy(assignment("jane", "seca.workspace-viewer", *[scope] * 16))
    assert not shown(known.explain(JANE, "put", INSTANCE, PLACE, "one"))["allowed"]


def test_an_explanation_in_a_tenant_does_not_reveal_operators() -> None:
    status = shown(policy().explain(OPERATOR, "put", INSTANCE, PLACE, "one"))
    assert status == shown(policy().explain(STRANGER, "put", INSTANCE, PLACE, "one"))


# --- paths

INSTANCES = "/providers/seca.compute/v1/tenants/acme/workspaces/web/instances"


@pytest.mark.parametrize(
    ("verb", "path", "name"),
    [
        ("list", INSTANCES, ""),
        ("get", f"{INSTANCES}/one", "one"),
        ("post.start", f"{INSTANCES}/one", "one"),
        ("post.start", f"{INSTANCES}/one/start", "one"),
        ("delete", f"{INSTANCES}/start", "start"),
    ],
)
def test_a_path_names_a_kind_and_a_resource(verb: str, path: str, name: str) -> None:
    found = place(AccessReviewSpec(verb=verb, path=path))
    assert found == (INSTANCE, {"tenant": "acme", "workspace": "web"}, name, "")
    assert found.tenant == "acme"


@pytest.mark.parametrize(
    ("verb", "path", "pointer"),
    [
        ("get", INSTANCES, "/spec/verb"),
        ("list", f"{INSTANCES}/one", "/spec/verb"),
        ("post.explode", f"{INSTANCES}/one", "/spec/verb"),
        ("post.stop", f"{INSTANCES}/one/start", "/spec/verb"),
        ("put", "/providers/seca.compute/v1/tenants/acme/skus/one", "/spec/verb"),
        ("get", f"{INSTANCES}/", "/spec/path"),
        ("get", f"{INSTANCES}/one/two", "/spec/path"),
        ("get", f"https://example.org{INSTANCES}/one", "/spec/path"),
        ("get", f"{INSTANCES}/one?x=y/z", "/spec/path"),
        ("get", "/", "/spec/path"),
    ],
)
def test_an_unknown_path_is_refused(verb: str, path: str, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        place(AccessReviewSpec(verb=verb, path=path))
    assert [source.pointer for source in refused.value.sources] == [pointer]
