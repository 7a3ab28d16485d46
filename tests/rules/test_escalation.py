"""No privilege escalation: authors can grant only what they hold."""

from collections.abc import Iterator

import pytest

from secaplane.kinds import PROVIDERS
from secaplane.model.shape import Json
from secaplane.policy.grants.escalation import SLICE, Judgement, finished
from secaplane.policy.tokens.caller import Caller
from tests.rules.test_grants import assignment, permission, policy, role
from tests.steps import steps

JANE = Caller("iss", "jane")
ALL = "get list put delete post"
LINES = 9_984
"""The largest role: 39 permissions with 256 resources each."""
SLICE_STEPS_MAX = 50_000
"""Steps of Python that the event loop may be kept for: some ten milliseconds."""


def giving(held: list[Json], given: Json, *, scope: Json | None = None) -> str:
    """The excess of a role with one permission, whose author holds a role with others."""
    known = policy(role("held", *held), assignment("jane", "held", scope or {}))
    return finished(known.excess(JANE, role("given").ref, None, {"permissions": [given]}))


@pytest.mark.parametrize(
    ("held", "given"),
    [
        (("seca.compute", "instances/*", ALL), ("seca.compute", "instances/*", "get")),
        (("seca.compute", "instances/*", ALL), ("seca.compute/v1", "instances/*", "GET")),
        (("seca.compute", "instances/*", ALL), ("seca.compute", "instances/*", "*")),
        (("seca.compute", "instances/*", "*"), ("seca.compute", "instances/one", "put")),
        (("seca.compute", "instances/*", "post"), ("seca.compute", "instances/*", "post.start")),
        (("seca.compute", "instances/*", ALL), ("seca.compute", "instances", "list")),
        (("seca.compute", "*", ALL), ("seca.compute", "*", "*")),
        (("seca.compute", "instances/* skus/*", ALL), ("seca.compute", "*", "*")),
        (("seca.compute", "instances/one", "get"), ("seca.compute", "x", "get")),
        (("seca.network", "subnets/*", "get"), ("seca.network", "networks/n/subnets/*", "get")),
        (("seca.network", "subnets/*", "get"), ("seca.network", "networks/n/subnets/s", "get")),
        (("seca.network", "networks/*", "get"), ("seca.network", "networks/n/subnets/s", "get")),
        (("seca.network", "networks/n/*", "get"), ("seca.network", "networks/n/subnets/*", "get")),
    ],
)
def test_an_author_can_grant_what_the_author_holds(
    held: tuple[str, str, str], given: tuple[str, ...]
) -> None:
    assert giving([permission(*held)], permission(*given)) == ""


@pytest.mark.parametrize(
    ("held", "given"),
    [
        (("seca.compute", "instances/*", "get list"), ("seca.compute", "instances/*", "put")),
        (("seca.compute", "instances/*", "get list"), ("seca.compute", "instances/*", "*")),
        (("seca.compute", "instances/*", "*"), ("seca.compute", "*", "get")),
        (("seca.compute", "instances/one", "*"), ("seca.compute", "instances/*", "get")),
        (("seca.compute", "instances/one", "*"), ("seca.compute", "instances/two", "get")),
        (("seca.compute", "instances", "*"), ("seca.compute", "instances/*", "list")),
        (("seca.compute", "*", "*"), ("seca.storage", "images/*", "get")),
        (("seca.compute", "instances/*", "post.start"), ("seca.compute", "instances/*", "post")),
        (("seca.network", "networks/n/subnets/*", "*"), ("seca.network", "subnets/*", "get")),
        (("seca.network", "networks/n/*", "*"), ("seca.network", "networks/m/*", "get")),
    ],
)
def test_an_author_cannot_grant_what_the_author_does_not_hold(
    held: tuple[str, str, str], given: tuple[str, ...]
) -> None:
    assert giving([permission(*held)], permission(*given)) != ""


def test_a_role_is_judged_as_if_assigned_in_its_whole_tenant() -> None:
    held, given = [permission("seca.compute", "*", "*")], permission("seca.compute", "*", "get")
    assert giving(held, given, scope={"workspaces": ["web"]}) != ""
    assert giving(held, given, scope={"regions": ["eu-1"]}) != ""


def test_an_assignment_is_judged_in_its_scopes() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    ref = assignment("bob", "x").ref

    def excess_of(*roles: str, **scope: list[str]) -> str:
        spec = {"subs": ["bob"], "roles": list(roles), "scopes": [scope]}
        return finished(known.excess(JANE, ref, None, spec))

    assert excess_of("seca.workspace-viewer", workspaces=["web"]) == ""
    assert excess_of("seca.workspace-viewer") != ""
    assert excess_of("seca.region-admin", workspaces=["web"]) != ""
    held = role("r", permission("seca.compute", "instances/*", ALL))
    known.update([held], known.revision)
    assert excess_of("r", workspaces=["web"]) == ""
    assert excess_of("r", workspaces=["web", "other"]) != ""
    assert excess_of("r") != ""
    assert excess_of("none-such", workspaces=["web"]) == ""


def test_permissions_granted_before_are_no_escalation() -> None:
    held = assignment("bob", "seca.admin")
    known = policy(assignment("jane", "seca.workspace-viewer"), held)
    assert finished(known.excess(JANE, held.ref, held.spec, held.spec)) == ""
    assert finished(known.excess(JANE, held.ref, None, held.spec)) != ""


def test_permissions_that_were_written_and_never_granted_are_new() -> None:
    known = policy(assignment("jane", "seca.workspace-viewer"))
    ref = assignment("bob", "x").ref
    old = {"subs": ["bob"], "roles": ["seca.admin"], "scopes": [{}]}
    assert finished(known.excess(JANE, ref, old, old)) != ""


def test_all_permissions_are_new_to_new_subs() -> None:
    known = policy(assignment("jane", "seca.workspace-viewer"))
    ref = assignment("bob", "x").ref
    old = {"subs": ["bob"], "roles": ["seca.admin"], "scopes": [{}]}
    assert finished(known.excess(JANE, ref, old, old | {"subs": ["bob", "jane"]})) != ""


def test_an_administrator_can_grant_every_system_role_and_every_provider() -> None:
    known = policy(assignment("jane", "seca.admin"))
    for name in PROVIDERS:
        if name.startswith("seca.") and name != "seca.region":  # which no caller may change
            every: Json = {"permissions": [permission(name, "*", "*")]}
            assert finished(known.excess(JANE, role("x").ref, None, every)) == ""
    for name in ("admin", "region-admin", "workspace-admin", "workspace-editor"):
        spec = {"subs": ["bob"], "roles": [f"seca.{name}"], "scopes": [{}]}
        assert finished(known.excess(JANE, assignment("bob", "x").ref, None, spec)) == ""


def test_too_many_comparisons_are_refused() -> None:
    scopes: list[Json] = [{"workspaces": [f"w{n}-{m}" for m in range(200)]} for n in range(5)]
    held = [assignment("jane", f"r{n}", *scopes) for n in range(300)]
    roles = [role(f"r{n}", permission("seca.compute", "instances/one", "get")) for n in range(300)]
    known = policy(*roles, *held)
    spec = {"permissions": [permission("seca.compute", "instances/*", ALL)]}
    assert "split it" in finished(known.excess(JANE, role("given").ref, None, spec))


def test_a_role_held_by_many_assignments_is_compared_once() -> None:
    held = [assignment("jane", f"seca.admin {'x' * (n + 1)}"[:60]) for n in range(50)]
    known = policy(*held)
    many = [permission("seca.compute", f"instances/i{n}", ALL) for n in range(1500)]
    assert finished(known.excess(JANE, role("given").ref, None, {"permissions": many})) == ""


@pytest.mark.parametrize("given", ["instances/i{}", "networks/n{}/subnets/s"])
def test_the_largest_role_is_judged_in_linear_work_and_in_slices(given: str) -> None:
    """The pauses are proportional to the patterns, whatever the author holds."""
    provider = "seca.compute" if given.startswith("instances") else "seca.network"
    known = policy(*(assignment("jane", f"seca.admin {'x' * n}"[:60]) for n in range(1, 40)))
    pauses = []
    for number in (2_496, 9_984):
        patterns = [given.format(n) for n in range(number)]
        spec: Json = {
            "permissions": [
                {"provider": provider, "resources": patterns[n : n + 256], "verb": ["get"]}
                for n in range(0, number, 256)
            ]
        }
        pauses.append(len(list(known.excess(JANE, role("given").ref, None, spec))))
    assert number / SLICE / 2 < pauses[1] < number / SLICE * 2
    assert pauses[1] <= 4 * pauses[0] + 4


@pytest.mark.parametrize("given", ["instances/i{}", "networks/n{}/subnets/s"])
@pytest.mark.parametrize("verbs", [1, 5, 13])
def test_no_slice_of_the_largest_role_keeps_the_event_loop_for_long(given: str, verbs: int) -> None:
    """Counted in steps of Python, with the first slice, in which the role is read."""
    known = policy(*(assignment("jane", f"seca.admin {'x' * n}"[:60]) for n in range(1, 40)))
    spec = largest(given, verbs)
    assert steps(lambda: known.excess(JANE, role("given").ref, None, spec)) <= SLICE_STEPS_MAX
    slices = [*slices_of(known.excess(JANE, role("given").ref, None, spec))]
    assert len(slices) > LINES / SLICE / 2
    assert max(slices) <= SLICE_STEPS_MAX


@pytest.mark.parametrize("verbs", [1, 13])
def test_a_change_of_the_largest_role_is_applied_in_bounded_work(verbs: int) -> None:
    known = policy(assignment("jane", "r"))
    changed = role("r", *largest("instances/i{}", verbs)["permissions"])
    assert steps(lambda: known.update([changed], known.revision)) <= SLICE_STEPS_MAX


def largest(given: str, verbs: int) -> Json:
    """A role of about LINES resources times verbs."""
    provider = "seca.compute" if given.startswith("instances") else "seca.network"
    chosen = ["get", "list", "put", "delete", "post", *(f"post.a{n}" for n in range(11))][:verbs]
    patterns = [given.format(n) for n in range(LINES // verbs)]
    return {
        "permissions": [
            {"provider": provider, "resources": patterns[n : n + 256], "verb": chosen}
            for n in range(0, len(patterns), 256)
        ]
    }


def slices_of(judgement: Judgement) -> Iterator[int]:
    """The steps of Python between two pauses."""
    more = True

    def advance() -> None:
        nonlocal more
        more = next(judgement, "") is None

    while more:
        yield steps(advance)
