"""A list is limited to what the caller may see, where the caller may not list all of it. The limit
follows from grants, never from what exists."""

import pytest

from secaplane.kinds import KINDS
from secaplane.model.errors import Forbidden
from secaplane.model.shape import Json
from secaplane.policy.grants.explain import answer
from secaplane.policy.grants.filters import NAMES_MAX
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import AccessReviewSpec, place
from secaplane.readmodel.selection import FIRST_ARGUMENT, Selection, limited_to
from tests.positions import nth
from tests.rules.test_grants import JANE, PLACE, STRANGER, assignment, permission, policy, role


def listed(known: Policy, kind: str, **ids: str) -> tuple[str, ...] | str | None:
    """The names that jane's list is limited to, None for all; "403" if it is refused."""
    around = {each: (PLACE | ids)[each] for each in KINDS[kind].scope}
    try:
        return known.authorize_list(JANE, KINDS[kind], around).names
    except Forbidden:
        return "403"


def holding(provider: str, resources: str, verbs: str, *scopes: Json) -> Policy:
    return policy(
        role("r", permission(provider, resources, verbs)), assignment("jane", "r", *scopes)
    )


def test_who_may_list_the_collection_sees_all() -> None:
    known = holding("seca.compute", "instances/* instances/one", "get list")
    assert listed(known, "instance") is None


def test_resources_that_a_role_names_are_listed() -> None:
    known = holding("seca.compute", "instances/one instances/two", "get put")
    assert listed(known, "instance") == ("one", "two")
    assert listed(known, "instance", workspace="other") == ("one", "two")
    assert listed(known, "block-storage") == "403"


def test_filters_of_overlong_paths_are_not_cached() -> None:
    known = holding("seca.network", "subnets/one", "get")
    assert listed(known, "subnet", network="n" * 5000) == ("one",)
    assert listed(known, "subnet", network="n") == ("one",)
    assert sum(len(each.filters) for each in known._cached.values()) == 1


@pytest.mark.parametrize("verbs", ["get", "GET", "*", "get list"])
def test_the_right_to_get_them_is_what_counts(verbs: str) -> None:
    assert listed(holding("seca.compute", "instances/one", verbs), "instance") == ("one",)


@pytest.mark.parametrize(
    ("resources", "verbs"),
    [
        ("instances/one", "put list delete"),
        ("instances/*", "get"),
        ("instances", "get"),
        ("*", "get"),
    ],
)
def test_without_list_and_without_get_of_a_name_a_list_is_refused(
    resources: str, verbs: str
) -> None:
    assert listed(holding("seca.compute", resources, verbs), "instance") == "403"


def test_names_count_only_in_the_scopes_of_the_assignment() -> None:
    known = holding("seca.compute", "instances/one", "get", {"workspaces": ["web"]})
    assert listed(known, "instance") == ("one",)
    assert listed(known, "instance", workspace="other") == "403"
    elsewhere = holding("seca.compute", "instances/one", "get", {"regions": ["far"]})
    assert listed(elsewhere, "instance") == "403"
    assert listed(known, "instance", tenant="other") == "403"


def test_resources_below_a_parent_are_listed() -> None:
    known = holding("seca.network", "networks/net/subnets/s subnets/t networks/n/*", "get")
    assert listed(known, "subnet") == ("s", "t")
    assert listed(known, "subnet", network="other") == ("t",)
    assert listed(known, "network") == ("n",)


def test_workspaces_that_a_scope_names_are_listed() -> None:
    scopes: list[Json] = [{"workspaces": ["web", "two"]}, {"regions": ["far"], "workspaces": ["x"]}]
    known = holding("seca.workspace", "workspaces/*", "get list", *scopes)
    assert listed(known, "workspace") == ("two", "web")
    assert listed(holding("seca.workspace", "workspaces/*", "get", *scopes), "workspace") == "403"
    system = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    assert listed(system, "workspace") == ("web",)


def test_a_named_workspace_is_listed_where_a_scope_covers_it() -> None:
    named = "workspaces/web workspaces/two"
    assert listed(holding("seca.workspace", named, "get"), "workspace") == ("two", "web")
    known = holding("seca.workspace", named, "get", {"workspaces": ["two", "x"]})
    assert listed(known, "workspace") == ("two",)


def test_more_names_than_the_limit_are_refused_with_that_reason() -> None:
    names = [f"i{n}" for n in range(NAMES_MAX)]
    known = holding("seca.compute", " ".join(f"instances/{n}" for n in names), "get")
    assert listed(known, "instance") == tuple(sorted(names))
    known = holding("seca.compute", " ".join(f"instances/{n}" for n in [*names, "x"]), "get")
    with pytest.raises(Forbidden, match=f"more than {NAMES_MAX}"):
        known.authorize_list(JANE, KINDS["instance"], PLACE)


def test_the_limit_changes_with_the_policy() -> None:
    known = holding("seca.compute", "instances/one", "get")
    assert listed(known, "instance") == ("one",)
    known.update([role("r", permission("seca.compute", "instances/two", "get"))], nth(8))
    assert listed(known, "instance") == ("two",)
    known.update([role("r", permission("seca.compute", "instances/*", "list"))], nth(9))
    assert listed(known, "instance") is None


def test_a_caller_without_grants_gets_the_same_refusal_for_every_tenant() -> None:
    known = holding("seca.compute", "instances/one", "get")
    details = set()
    for tenant in ("acme", "none-such"):
        with pytest.raises(Forbidden) as refused:
            known.authorize_list(STRANGER, KINDS["instance"], PLACE | {"tenant": tenant})
        details.add(refused.value.detail)
    assert len(details) == 1


def test_the_actor_names_the_assignment_that_allows_it() -> None:
    known = holding("seca.compute", "instances/one", "get")
    assert known.authorize_list(JANE, KINDS["instance"], PLACE).actor.assignment == "jane-r/r"


async def test_an_access_review_knows_the_names() -> None:
    known = holding("seca.compute", "instances/one", "get")
    path = "/providers/seca.compute/v1/tenants/acme/workspaces/web/instances"
    spec = AccessReviewSpec(verb="list", path=path, caller="jane")
    status = await answer(known, spec, place(spec), "acme")
    assert (status.allowed, status.names) == (True, ("one",))
    spec = AccessReviewSpec(verb="list", path=path, caller="bob")
    assert not (await answer(known, spec, place(spec), "acme")).allowed


def test_the_names_are_a_condition_of_the_query() -> None:
    selection = Selection(conditions="and r.x = $6", arguments=("y",))
    limited = limited_to(selection, ("b", "a"))
    assert limited.conditions == f"and r.x = $6 and r.name = any(${FIRST_ARGUMENT + 1}::text[])"
    assert limited.arguments == ("y", ["b", "a"])
    assert limited_to(selection, None) is selection
