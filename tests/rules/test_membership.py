"""The tenant's life and whether a caller was known in it, for the record of a request."""

import pytest
from msgspec.structs import replace

from secaplane.model.shape import Resource
from secaplane.policy.grants.decision import Membership
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller
from tests.positions import nth
from tests.rules.test_grants import JANE, assignment, policy

JOE = Caller("iss", "joe", groups=("group:staff",))
STRANGER = Caller("iss", "stranger")


def in_life(made: Resource, tenant: str, begun: int) -> Resource:
    return replace(made, tenant=tenant, life=nth(begun))


def acme(*assignments: Resource) -> Policy:
    return policy(*(in_life(each, "u-1", 2) for each in assignments))


@pytest.mark.parametrize(
    ("caller", "known"), [(JANE, True), (JOE, True), (STRANGER, False), (None, False)]
)
def test_a_caller_is_known_where_an_assignment_names_it_or_its_group(
    caller: Caller | None, known: bool
) -> None:
    made = acme(
        assignment("jane", "seca.admin"),
        assignment("group:staff", "seca.admin"),
    )
    found = made.membership(caller, "acme")
    assert (found.tenant_uid, found.known) == ("u-1", known)


def test_an_assignment_for_every_caller_makes_none_known() -> None:
    assert not acme(assignment("*", "seca.admin")).membership(STRANGER, "acme").known


def test_an_operator_is_known_in_every_tenant() -> None:
    made = Policy(operators=["jane"], region="eu-1", fresh=lambda: True)
    assert made.membership(JANE, "acme") == Membership("", known=True, revision=made.revision)


def test_the_newest_life_of_a_tenant_counts_in_whichever_order_its_assignments_are_read() -> None:
    former = replace(in_life(assignment("jane", "seca.admin"), "u-1", 2), gone=True)
    present = in_life(assignment("joe", "seca.admin"), "u-2", 9)
    for order in ([former, present], [present, former]):
        made = policy()
        made.update(order, nth(9))
        assert made.membership(None, "acme").tenant_uid == "u-2"


def test_after_the_end_of_a_tenant_its_last_life_counts_until_another_begins() -> None:
    made = acme(assignment("jane", "seca.admin"))
    made.index.remove(assignment("jane", "seca.admin").ref, nth(7))
    assert made.membership(JANE, "acme") == Membership("u-1", known=False, revision=nth(7))
    assert made.membership(JANE, "other").tenant_uid == ""
