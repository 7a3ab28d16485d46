"""The same decision, with its reason."""

import random
from typing import Any

import msgspec
import pytest

from kinds import KINDS
from model.errors import Forbidden
from policy.caller import Caller
from policy.explain import explained, who_may
from policy.judge import decided, enforcer
from policy.may import Policy, Verdict
from tests.rules.test_grants import (
    ADMIN,
    JANE,
    OPERATOR,
    PLACE,
    STRANGER,
    assignment,
    permission,
    policy,
    role,
    some_grants,
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
    assert said["policyRevision"] == 7
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
    assert not said["allowed"]
    assert said["reason"]


async def test_who_may_is_everybody_an_assignment_names_who_may() -> None:
    known = policy(
        assignment("jane", "seca.admin"),
        assignment("viewer", "seca.workspace-viewer"),
        assignment("bob", "seca.admin", {"workspaces": ["other"]}),
    )
    assert await who_may(known, "put", INSTANCE, PLACE, "one", "acme") == ["jane"]
    assert await who_may(known, "get", INSTANCE, PLACE, "one", "acme") == ["jane", "viewer"]
    known.learn([assignment("*", "seca.admin")], known.revision)
    assert await who_may(known, "put", INSTANCE, PLACE, "one", "acme") == ["*"]


@pytest.mark.parametrize("seed", range(8))
def test_explanation_decision_and_one_plain_enforcer_agree(seed: int) -> None:
    luck = random.Random(seed)
    grants = list(some_grants(luck))
    known = policy(*grants)
    plain = enforcer()
    callers = [JANE, ADMIN, STRANGER, OPERATOR]
    everything = {
        caller: [
            rule
            for tenant in ("acme", "other")
            for rule in (*known.rules(caller, "", ""), *known.book.all_rules(caller.sub, tenant))
        ]
        for caller in callers
    }
    for _ in range(300):
        caller, kind = luck.choice(callers), luck.choice(list(KINDS.values()))
        verb = luck.choice(VERBS)
        name = "" if verb == "list" else luck.choice(["one", "two", "web", "acme"])
        ids = PLACE | {"tenant": luck.choice(["acme", "other"])}
        ids |= {"workspace": luck.choice(["web", "two"])}
        verdict = known.verdict(caller, verb, kind, ids, name)
        assert (verdict.rule is not None) == allowed(known, caller, verb, kind.name, ids, name)
        offered = "catalogue" in (verdict.rule.assignment if verdict.rule else "")
        if not offered:  # what the catalogue's rules allow stands in no assignment
            oracle = decided(plain, everything[caller], verdict.asked)
            assert (verdict.rule is None) == (oracle is None)


def allowed(
    known: Policy, caller: Caller, verb: str, kind: str, ids: dict[str, str], name: str
) -> bool:
    try:
        known.may(caller, verb, KINDS[kind], ids, name)
    except Forbidden:
        return False
    return True
