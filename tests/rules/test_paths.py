"""The rule for names, and path templates for the router."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.edge.requests.paths import (
    REF_LENGTH_MAX,
    allowed,
    broken_names,
    not_allowed,
    template,
)
from secaplane.kinds import KINDS, children
from secaplane.model.kind import NAME_LENGTH_MAX, SCOPE_LENGTH_MAX, Kind
from tests.scenario import IDS, lived

INSTANCE = KINDS["instance"]


@pytest.mark.parametrize(
    "name",
    ["a", "7", "0-0", "web", "web-1", "seca.n1k", "a.b.c", "a--b", "1.2.3", "x" * NAME_LENGTH_MAX],
)
def test_a_valid_name_is_accepted(name: str) -> None:
    assert broken_names(INSTANCE, IDS, name) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "a-.b",
        "Web",
        "a_b",
        "a b",
        "a/b",
        "a%2Fb",
        "ä",
        "a\n",
        "a\0",
        "*",
        "x" * (NAME_LENGTH_MAX + 1),
    ],
)
def test_an_invalid_name_is_refused_with_a_pointer(name: str) -> None:
    broken = broken_names(INSTANCE, IDS, name)
    assert [(each.pointer, each.parameter) for each in broken] == [("/metadata/name", "name")]


SIGNS = st.one_of(st.sampled_from("aZ09-._ /%"), st.characters())


@given(st.text(SIGNS, max_size=8) | st.from_regex(r"[-a-z0-9.]{1,12}", fullmatch=True))
def test_the_pattern_for_names_agrees_with_the_rule_in_words(name: str) -> None:
    assert in_words(name) == (broken_names(INSTANCE, IDS, name) == [])


def in_words(name: str) -> bool:
    """Segments joined by dots; each of lower-case letters, digits and hyphens, with no hyphen at
    either end (SECA: resource envelope)."""
    allowed = set(string.ascii_lowercase + string.digits + "-")
    return all(
        segment and set(segment) <= allowed and "-" not in (segment[0], segment[-1])
        for segment in name.split(".")
    )


def test_the_rule_for_names_holds_for_the_ids_in_the_path() -> None:
    broken = broken_names(INSTANCE, {"tenant": "Acme", "workspace": "-"}, "x y")
    assert [each.pointer for each in broken] == [
        "/metadata/name",
        "/metadata/tenant",
        "/metadata/workspace",
    ]


def test_the_name_of_a_scope_is_limited_where_it_is_made_and_where_it_is_used() -> None:
    long = "w" * (SCOPE_LENGTH_MAX + 1)
    assert broken_names(KINDS["workspace"], IDS, long) != []
    assert broken_names(KINDS["workspace"], IDS, long[1:]) == []
    assert broken_names(INSTANCE, IDS | {"workspace": long[1:]}, "one") == []
    assert broken_names(INSTANCE, IDS | {"workspace": long}, "one") != []


def test_a_path_is_translated_for_the_router() -> None:
    assert (
        template("/v1/tenants/{tenant}/skus/{name}") == "/v1/tenants/{tenant:str}/skus/{name:str}"
    )


def test_the_methods_of_a_path_are_known_on_both_sides() -> None:
    volume = "/providers/seca.storage/v1/tenants/t/workspaces/w/block-storages/v"
    assert allowed(volume) == "GET, HEAD, PUT, DELETE"
    assert allowed("/providers/seca.storage/v1/tenants/t/skus/s") == "GET, HEAD"
    assert allowed("/providers/secaplane.admin/v1/tenants/t") == "GET, HEAD, PUT"
    assert allowed(f"{volume}/start") == ""
    refusal = not_allowed("GET, PUT")
    assert (refusal.detail, refusal.meta) == ("this path takes GET, PUT", {"allow": "GET, PUT"})


# --- names that others use


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_name_is_no_longer_than_what_it_is_used_in(kind: Kind) -> None:
    """In the path of another resource, or in a role assignment: 64 characters."""
    used = [KINDS["role-assignment"].links, KINDS["tenant"].links]
    named = {each for links in used for link in links for each in link.to if kind.writable}
    limited = bool(children(kind)) or kind.name in named
    assert kind.name_length_max == (SCOPE_LENGTH_MAX if limited else NAME_LENGTH_MAX)


def test_a_ref_that_would_be_too_long_says_how_many_characters_are_left() -> None:
    ids = {"tenant": "t" * 64, "workspace": "w" * 64, "network": "n" * 64}
    subnet = KINDS["subnet"]
    left = REF_LENGTH_MAX - len(subnet.urn(subnet.ref(ids, "")))
    assert broken_names(subnet, ids, "s" * left) == []
    (broken,) = broken_names(subnet, ids, "s" * (left + 1))
    assert (broken.pointer, broken.parameter) == ("/metadata/name", "name")
    assert f"{left} are left" in broken.detail


def test_the_name_of_a_parent_leaves_room_for_the_names_of_its_children() -> None:
    """Otherwise a cluster could be made, and no node pool in it."""
    ids = {"tenant": "t" * 64, "workspace": "w" * 64}
    cluster = KINDS["kubernetes-cluster"]
    (broken,) = broken_names(cluster, ids, "c" * 64)
    assert "60 are left" in broken.detail
    assert broken_names(cluster, ids, "c" * 60) == []
    assert broken_names(KINDS["kubernetes-node-pool"], ids | {"cluster": "c" * 60}, "n") == []


def test_the_names_of_owned_resources_always_fit() -> None:
    ids = {"tenant": "t" * 64, "workspace": "w" * 64, "cluster": "c"}
    pool = lived(KINDS["kubernetes-node-pool"].ref(ids, "n" * 60), POOL)
    owned = KINDS["kubernetes-node-pool"].owned.members
    assert owned is not None
    *_, last = owned(pool).members
    for member in owned(pool).members[-3:]:
        kind = KINDS[member.kind]
        assert broken_names(kind, kind.ids(member.path), member.path.rpartition("/")[2]) == []
    assert last.path.endswith("-4999")


POOL = {
    "instances": 5000,
    "nodeTemplate": {"skuRef": {}, "subnetRef": {}, "zone": "a", "rootVolume": {}},
}
