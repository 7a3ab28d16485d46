"""Limits of every grant, whatever roles and role assignments say."""

import pytest

from tests.positions import nth
from tests.rules.test_grants import JANE, assignment, may, permission, policy, role


@pytest.mark.parametrize("tenants", [["other"], ["other", "third"]])
def test_an_assignment_grants_nothing_in_another_tenant(tenants: list[str]) -> None:
    known = policy(assignment("jane", "seca.admin", {"tenants": tenants}))
    assert may(known, JANE, "get", "workspace", "web", tenant="other") is None
    assert may(known, JANE, "get", "workspace", "web") is None


def test_an_assignment_to_all_tenants_grants_only_its_own() -> None:
    known = policy(assignment("jane", "seca.admin", {"tenants": ["*"]}))
    assert may(known, JANE, "get", "workspace", "web") is not None
    assert may(known, JANE, "get", "workspace", "web", tenant="other") is None


@pytest.mark.parametrize("dimension", ["tenants", "regions", "workspaces"])
def test_an_empty_list_in_a_stored_scope_grants_nothing(dimension: str) -> None:
    scope = {"tenants": ["acme"], "regions": ["eu-1"], "workspaces": ["web"]}
    known = policy(assignment("jane", "seca.admin", scope))
    assert may(known, JANE, "get", "instance", "one") is not None
    known = policy(assignment("jane", "seca.admin", scope | {dimension: []}))
    for name in ("instance", "role", "workspace", "storage-sku"):
        assert may(known, JANE, "get", name, "one") is None


def test_no_role_makes_an_operator() -> None:
    own = role("own", permission("secaplane.admin/v1", "*", "*"), permission("*", "*", "*"))
    known = policy(own, assignment("jane", "own"))
    for verb in ("get", "list", "put"):
        assert may(known, JANE, verb, "tenant", "acme") is None


def test_an_undecodable_assignment_grants_nothing() -> None:
    held = assignment("jane", "seca.admin")
    known = policy(held)
    assert may(known, JANE, "get", "workspace", "web") is not None
    known.update([], nth(9), undecodable=[held.ref])
    assert may(known, JANE, "get", "workspace", "web") is None


def test_two_changes_with_one_revision_both_count() -> None:
    """The last event of one kind may be older than that of another, and arrive after it."""
    held = assignment("jane", "reader")
    reads, writes = (permission("seca.storage", "*", verbs) for verbs in ("get list", "put"))
    known = policy(role("reader", reads), held)
    assert may(known, JANE, "get", "block-storage", "one") is not None
    known.update([role("reader", writes)], known.revision)
    assert may(known, JANE, "get", "block-storage", "one") is None
    assert may(known, JANE, "put", "block-storage", "one") is not None
