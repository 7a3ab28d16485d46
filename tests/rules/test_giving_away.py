"""What nobody can give away, whatever they write into roles and assignments."""

import pytest
from msgspec import structs

from model.shape import Position
from tests.rules.test_grants import JANE, assignment, may, permission, policy, role


@pytest.mark.parametrize("tenants", [["other"], ["other", "third"]])
def test_an_assignment_gives_away_nothing_in_another_tenant(tenants: list[str]) -> None:
    known = policy(assignment("jane", "seca.admin", {"tenants": tenants}))
    assert may(known, JANE, "get", "workspace", "web", tenant="other") is None
    assert may(known, JANE, "get", "workspace", "web") is None


def test_an_assignment_to_all_tenants_still_gives_away_only_its_own() -> None:
    known = policy(assignment("jane", "seca.admin", {"tenants": ["*"]}))
    assert may(known, JANE, "get", "workspace", "web") is not None
    assert may(known, JANE, "get", "workspace", "web", tenant="other") is None


def test_no_role_makes_an_operator() -> None:
    own = role("own", permission("secaplane.admin/v1", "*", "*"), permission("*", "*", "*"))
    known = policy(own, assignment("jane", "own"))
    for verb in ("get", "list", "put"):
        assert may(known, JANE, verb, "tenant", "acme") is None


def test_a_role_that_is_made_anew_comes_back_to_nobody_by_itself() -> None:
    first = role("reader", permission("seca.storage", "*", "get list"))
    held = assignment("jane", "reader")
    known = policy(first, held)
    assert may(known, JANE, "get", "block-storage", "one") is not None
    later = Position(held.intended + 1)
    anew = structs.replace(first, life=later, intended=later, position=later)
    known.learn([anew], later)
    assert may(known, JANE, "get", "block-storage", "one") is None
    written_again = structs.replace(held, intended=Position(later + 1))
    known.learn([written_again], Position(later + 1))
    assert may(known, JANE, "get", "block-storage", "one") is not None


def test_what_cannot_be_read_grants_nothing() -> None:
    held = assignment("jane", "seca.admin")
    known = policy(held)
    assert may(known, JANE, "get", "workspace", "web") is not None
    known.learn([], Position(9), unreadable=[held.ref])
    assert may(known, JANE, "get", "workspace", "web") is None
