"""The same decision, with its reason."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
from secaplane.model.kind import Kind
from secaplane.model.shape import Json
from secaplane.policy.grants.explain import explained, allowed_callers
from secaplane.policy.grants.policy import Policy, Verdict
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


def shown(verdict: Verdict) -> Any:
    """As it is answered."""
    return msgspec.to_builtins(explained(verdict))


def test_what_allows_it_is_named() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    said = shown(known.verdict(JANE, "put", INSTANCE, PLACE, "one"))
    assert said["allowed"]
    assert said["policyRevision"] == "SECA:7"
    named = {"assignment": "jane-seca.workspace-admin", "role": "seca.workspace-admin"}
    given = {"resource": "instances/*", "verb": "put", "workspace": "web", "region": "*"}
    assert said["by"] == named | given | {"provider": "seca.compute", "tenant": "acme"}


def test_what_comes_nearest_is_named_with_what_it_lacks() -> None:
    reads = role("r", permission("seca.compute", "instances/*", "get list"))
    known = policy(reads, assignment("jane", "r"))
    said = shown(known.verdict(JANE, "put", INSTANCE, PLACE, "one"))
    assert not said["allowed"]
    assert {*map(tuple, (each["fails"] for each in said["nearest"]))} == {("verb",)}
    assert "r" in {each.get("role") for each in said["nearest"]}


def test_who_nobody_names_is_told_that() -> None:
    said = shown(policy().verdict(STRANGER, "get", INSTANCE, PLACE, "one"))
    assert (said["allowed"], said["nearest"]) == (False, ())
    assert said["reason"] == "no assignment in the tenant names this caller"


async def test_who_may_is_everybody_an_assignment_names_who_may() -> None:
    known = policy(
        assignment("jane", "seca.admin"),
        assignment("viewer", "seca.workspace-viewer"),
        assignment("bob", "seca.admin", {"workspaces": ["other"]}),
    )
    assert await who(known, "put", INSTANCE, "one") == ("jane",)
    assert await who(known, "get", INSTANCE, "one") == ("jane", "viewer")
    assert await who(known, "list", KINDS["region"]) == ("*",)
    known.update([assignment("*", "seca.admin")], known.revision)
    assert await who(known, "put", INSTANCE, "one") == ("*",)


async def who(known: Policy, verb: str, kind: Kind, name: str = "") -> tuple[str, ...] | UnsetType:
    said = await allowed_callers(known, verb, Place(kind, PLACE, name), "acme")
    assert (said.policy_revision, said.allowed, said.more) == ("SECA:7", UNSET, UNSET)
    return said.callers


async def test_more_than_can_be_named_are_not_named() -> None:
    names = [f"c{n:04}" for n in range(CALLERS_MAX + 1)]
    held = assignment("x", "seca.admin")
    known = policy(msgspec.structs.replace(held, spec=held.spec | {"subs": names}))
    said = await allowed_callers(known, "put", Place(INSTANCE, PLACE, "one"), "acme")
    assert (said.callers, said.more) == (tuple(names[:-1]), True)


def test_who_holds_something_elsewhere_is_told_where() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["two"]}))
    said = shown(known.verdict(JANE, "put", INSTANCE, PLACE, "one"))
    assert (said["allowed"], said["reason"]) == (
        False,
        "the nearest permission does not fit in: workspace",
    )
    assert [(each["workspace"], each["fails"]) for each in said["nearest"]] == [
        ("two", ("workspace",))
    ]


def test_an_explanation_reads_no_more_than_somebody_wants_to_read() -> None:
    scope: Json = {"regions": ["*"] * 64, "workspaces": ["*"] * 256}
    known = policy(assignment("jane", "seca.workspace-viewer", *[scope] * 16))
    assert not shown(known.verdict(JANE, "put", INSTANCE, PLACE, "one"))["allowed"]


def test_who_is_an_operator_is_no_tenants_business() -> None:
    said = shown(policy().verdict(OPERATOR, "put", INSTANCE, PLACE, "one"))
    assert said == shown(policy().verdict(STRANGER, "put", INSTANCE, PLACE, "one"))


# --- what is asked about

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
def test_a_path_names_what_is_asked_about(verb: str, path: str, name: str) -> None:
    found = place(AccessReviewSpec(verb=verb, path=path))
    assert found == (INSTANCE, {"tenant": "acme", "workspace": "web"}, name)
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
def test_what_is_no_path_of_ours_is_refused(verb: str, path: str, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        place(AccessReviewSpec(verb=verb, path=path))
    assert [source.pointer for source in refused.value.sources] == [pointer]
