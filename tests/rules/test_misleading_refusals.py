"""Refusals suggest nothing that is refused next, and no part of a request is ignored that was meant
to change its meaning."""

import pytest

from secaplane.command.rules.commands import Act, Delete, Put
from secaplane.edge.requests.parameters import refuse_as_of
from secaplane.kinds import KINDS
from secaplane.kinds.advice import to_find_or_create
from secaplane.model.errors import Invalid, Malformed, NotFound
from secaplane.model.shape import Json
from secaplane.policy.grants.review import AccessReviewSpec, place
from tests.scenario import given

VOLUME = "/providers/seca.storage/v1/tenants/acme/workspaces/web/block-storages"


def test_a_put_is_never_suggested_for_a_reserved_name() -> None:
    refusal = given("role").named("seca.nothing").when(Delete()).then_refused(NotFound)
    assert "PUT" not in refusal.detail
    assert "/tenants/acme/roles lists the existing ones" in refusal.detail
    advice = to_find_or_create(KINDS["role"], {"tenant": "acme", "name": "secaplane.auditor"})
    assert "PUT" not in advice


def test_a_put_is_suggested_for_a_name_that_can_be_created() -> None:
    assert "create it with PUT" in given("role").when(Delete()).then_refused(NotFound).detail
    refusal = given("instance").when(Act(action="start")).then_refused(NotFound)
    assert "create it with PUT" in refusal.detail


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("role-assignment", {"subs": ["a"], "roles": [], "scopes": [{"workspaces": ["Web"]}]}),
        ("security-group-rule", {"sourceRef": [{"resource": "instances/One"}]}),
        (
            "role-assignment",
            {"subs": ["a"], "roles": [], "scopes": [{"workspaces": ["w" * 65]}]},
        ),
        ("nic", {"subnetRef": {"resource": "networks/n/subnets/Sub"}}),
    ],
)
def test_a_reference_to_a_name_that_no_resource_can_get_is_refused_for_the_name(
    kind: str, spec: Json
) -> None:
    refusal = given(kind).when(Put(spec={"direction": "ingress"} | spec)).then_refused(Invalid)
    assert [each.pointer for each in refusal.sources], refusal.detail
    assert "cannot exist" in refusal.detail
    assert "create it" not in refusal.detail


@pytest.mark.parametrize("query", [b"asOf=SECA:1", b"a=1&asOf=", b"as%4Ff=2026-01-01T00:00:00Z"])
def test_a_point_of_the_past_is_refused_where_it_would_be_ignored(query: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        refuse_as_of(query)
    assert refused.value.sources[0].parameter == "asOf"


@pytest.mark.parametrize("query", [b"", b"a=1", b"asof=1"])
def test_other_parameters_are_still_ignored(query: bytes) -> None:
    refuse_as_of(query)


def test_a_review_reads_a_path_as_the_routes_do() -> None:
    """Percent-encoding is tolerated, and a query belongs to no grant."""
    encoded = place(AccessReviewSpec(verb="get", path=f"{VOLUME.replace('web', '%77eb')}/%64isk"))
    assert (encoded.ids["workspace"], encoded.name) == ("web", "disk")
    with pytest.raises(Invalid) as refused:
        place(AccessReviewSpec(verb="get", path=f"{VOLUME}/disk?asOf=SECA:1"))
    assert "query" in refused.value.detail
