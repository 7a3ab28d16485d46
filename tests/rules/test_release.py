"""The name of a deleted resource leaves the specs that list it, and widens no grant."""

import pytest

from secaplane.command.rules.commands import Release
from secaplane.kinds import KINDS
from secaplane.model.events import Created, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins.plugin import Ready
from secaplane.policy.grants.rules import assignment_scopes
from secaplane.reconcilers.plan import Step
from secaplane.reconcilers.release import without_target
from secaplane.reconcilers.reports import outcome_report
from tests.rules.test_grants import assignment
from tests.rules.test_sealing import sealer
from tests.scenario import WEB, given

HERE, THERE = "eu-1", "eu-2"


def scopes_left(*scopes: Json, gone: Ref = WEB) -> list[Json]:
    spec = without_target(assignment("jane", "seca.admin", *scopes), gone, HERE)
    left: list[Json] = spec["scopes"]
    return left


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({"workspaces": ["web"]}, []),
        ({"workspaces": ["web", "two"]}, [{"workspaces": ["two"]}]),
        ({"workspaces": ["web", "web"]}, []),
        ({"workspaces": ["two"]}, [{"workspaces": ["two"]}]),
        ({"workspaces": ["*"]}, [{"workspaces": ["*"]}]),
        ({}, [{}]),
        ({"regions": [HERE], "workspaces": ["web"]}, []),
        ({"regions": ["*"], "workspaces": ["web"]}, []),
        (
            {"regions": [THERE], "workspaces": ["web"]},
            [{"regions": [THERE], "workspaces": ["web"]}],
        ),
        (
            {"regions": [HERE, THERE], "workspaces": ["web"]},
            [{"regions": [THERE], "workspaces": ["web"]}],
        ),
        (
            {"regions": [HERE, THERE], "workspaces": ["web", "two"]},
            [
                {"regions": [THERE], "workspaces": ["web", "two"]},
                {"regions": [HERE], "workspaces": ["two"]},
            ],
        ),
        ({"tenants": ["acme"], "workspaces": ["web"]}, []),
    ],
)
def test_a_workspace_leaves_the_scopes_of_its_region(scope: Json, left: list[Json]) -> None:
    assert scopes_left(scope) == left
    for each in left:
        assert each.get("workspaces") != []


def test_the_other_scopes_of_an_assignment_stay() -> None:
    assert scopes_left({"workspaces": ["web"]}, {"workspaces": ["two"]}, {}) == [
        {"workspaces": ["two"]},
        {},
    ]


def test_a_workspace_of_another_tenant_or_name_leaves_nothing() -> None:
    scope: Json = {"workspaces": ["web"]}
    assert scopes_left(scope, gone=KINDS["workspace"].ref({"tenant": "acme"}, "other")) == [scope]


def test_a_role_leaves_the_list_of_roles() -> None:
    gone = KINDS["role"].ref({"tenant": "acme"}, "reader")
    spec = without_target(assignment("jane", "reader seca.admin reader"), gone, HERE)
    assert (spec["roles"], spec["scopes"]) == (["seca.admin"], [{}])


def test_an_assignment_without_scopes_grants_nothing_and_says_so() -> None:
    emptied = assignment("jane", "seca.admin", {"workspaces": ["web"]})
    spec = without_target(emptied, WEB, HERE)
    assert assignment_scopes("acme", spec) == []
    assert "grants nothing: it has no scopes left" in message(
        given("role-assignment", Created(spec=spec)).resource
    )
    spec |= {"roles": []}
    assert "no roles and no scopes left" in message(
        given("role-assignment", Created(spec=spec)).resource
    )
    whole = given("role-assignment", Created(spec=emptied.spec)).resource
    assert message(whole) == ""


def test_a_security_group_says_which_rule_matches_nothing() -> None:
    rules: list[Json] = [{"direction": "ingress"}, {"direction": "ingress", "sourceRef": []}]
    group = given("security-group", Created(spec={"rules": rules})).resource
    assert message(group).startswith("matches nothing because of an empty list, /spec/rules/1/")
    group = given("security-group", Created(spec={"rules": rules[:1]})).resource
    assert message(group) == ""


def message(resource: Resource) -> str:
    """The message with which the resource becomes active."""
    report = outcome_report(sealer(), resource, Step.ENSURE, Ready({}))
    return str(getattr(report, "message", ""))


# --- the command


SPEC: Json = {"subs": ["jane"], "roles": ["reader"], "scopes": [{"workspaces": []}]}


def test_nothing_refuses_a_release() -> None:
    """Also a spec that breaks a rule of today is released."""
    scene = given("role-assignment", Created(spec=SPEC, labels={"a": "b"}))
    left = SPEC | {"roles": []}
    scene.when(Release(spec=left, expected=1)).then(Updated(spec=left, labels={"a": "b"}))


def test_a_release_of_another_version_does_nothing() -> None:
    scene = given("role-assignment", Created(spec=SPEC), Updated(spec=SPEC))
    scene.when(Release(spec={}, expected=1)).then_nothing()
    scene = given("role-assignment", Created(spec=SPEC), DeletionRequested())
    scene.when(Release(spec={}, expected=2)).then_nothing()
