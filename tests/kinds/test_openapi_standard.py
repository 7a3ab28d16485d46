"""Secaplane's OpenAPI document compared with the standard's, operation by operation."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from secaplane.edge.documents import openapi
from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT
from secaplane.model.shape import Json
from tests.kinds import standard
from tests.kinds.standard import Called

BASE_URL = "https://example.org"
DOCUMENT: Json = msgspec.json.decode(
    msgspec.json.encode(openapi.document(KINDS.values(), BASE_URL))
)
OURS = standard.described(DOCUMENT)
THEIRS = standard.from_files() if standard.available() else {}
needs_files = pytest.mark.skipif(not THEIRS, reason="the standard's files are not available")
each = pytest.mark.parametrize("called", list(THEIRS), ids=lambda called: " ".join(called[:2]))
ANSWERED = ("200", "201")

DIFFERS: Mapping[str, str] = {
    r"/spec/permissions/\*/verb/\* (maxLength|pattern)": "post.restart has more than 7 characters, "
    "and the set of verbs is known (A-10)",
    r"/metadata/kind enum": "kinds without a name in the standard (A-12), and Secaplane's own",
    r"/status/(cidr|powerState) default": "a status shows known values only, no defaults",
    r"/spec/response/code type": "an HTTP status is an integer",
    r"/spec/request/body type": "any spec is an object; its kind defines which",
}
"""Intended differences, with the reason; any other difference is a defect. `additionalProperties:
false` in a body is not compared: unknown fields are refused everywhere (docs/reference/api.md)."""
WITHOUT_ADDRESSES = (
    ("/spec required", ["subnetRef"], ["addresses", "subnetRef"]),
    ("/spec/addresses minItems", None, 1),
)
"""A NIC may be sent without addresses: the text of the standard assigns them then, its schema
requires them, and the released Terraform provider leaves them out."""
ALWAYS_PRESENT = " required"
"""Answers name the fields that are always present; the standard requires fewer."""


# --- the operations


def test_all_operations_of_the_standard_are_described_with_their_ids() -> None:
    required = standard.operations()
    assert len(required) == standard.OPERATIONS_COUNT
    assert required - set(OURS) == set()


def test_the_other_operations_are_extensions() -> None:
    extensions = {path for _, path, _ in set(OURS) - standard.operations()}
    views = {path for path in extensions if path.startswith(f"{AUDIT.base}/")}
    of_tenants = {path for path in views if path.startswith(f"{AUDIT.base}/tenants/")}
    named = {path.rpartition("{tenant}/")[2] for path in of_tenants}
    assert named == {"activity", "activity/{name}", "exports", "exports/latest"}
    of_kinds = {path.removeprefix(AUDIT.base).partition("/seca")[2] for path in views - of_tenants}
    assert len(of_kinds) == sum(kind.has_history for kind in KINDS.values())
    extensions -= views
    assert {re.sub(r"/{name}$", "", path) for path in extensions} == {
        "/providers/secaplane.admin/v1/tenants",
        "/providers/secaplane.admin/v1/tenants/{tenant}/access-reviews",
        "/providers/secaplane.admin/v1/revocations",
        "/providers/seca.kubernetes/v1beta1/tenants/{tenant}/skus",
        "/providers/seca.object-storage/v1beta1/tenants/{tenant}/accounts",
        KINDS["activity-log"].url,
    }


@needs_files
def test_the_table_of_the_standard_agrees_with_its_files() -> None:
    assert set(THEIRS) == standard.operations()


@pytest.mark.parametrize("called", sorted(standard.operations()), ids=lambda each: each.id)
def test_an_operation_has_the_answers_of_its_class(called: Called) -> None:
    answers = set(OURS[called]["responses"])
    if called.id == "getWellknown":
        assert answers == {"200", "500"}
        return
    by_class = {
        "List": {"200", "400", "401", "403", "500"},
        "Get": {"200", "400", "401", "403", "404", "500"},
        "Create": {"200", "201", "400", "401", "403", "404", "409", "412", "422", "500"},
    }
    other = {"202", "400", "401", "403", "404", "409", "412", "500"}
    (kind,) = re.findall("^[A-Z][a-z]+", called.id)
    assert answers == by_class.get(kind, other) | {"default"}


@each
def test_an_operation_has_exactly_the_status_codes_of_the_standard(called: Called) -> None:
    default = set() if called.id == "getWellknown" else {"default"}
    assert set(OURS[called]["responses"]) == set(THEIRS[called]["responses"]) | default


@each
def test_an_operation_has_the_parameters_of_the_standard_in_their_order(called: Called) -> None:
    theirs, ours = parameters(THEIRS[called]), parameters(OURS[called])
    assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("called", list(OURS), ids=lambda called: " ".join(called[:2]))
def test_an_operation_also_has_the_preconditions_of_http(called: Called) -> None:
    names = [name for name, place, *_ in parameters(OURS[called]) if place == "header"]
    tags = [name for name in names if name.startswith("If-")]
    if called.id in ("getWellknown", "ReviewAccess", "GetExport"):
        assert tags == []
    else:
        on_writes = [] if called.method == "get" else ["If-Match"]
        assert tags == [*on_writes, "If-None-Match"]
        assert names[-len(tags) :] == tags


def parameters(operation: Json) -> list[Any]:
    return [
        (each["name"], each["in"], each.get("required", False), standard.rules(each["schema"]))
        for each in operation.get("parameters", ())
    ]


@each
def test_only_the_wellknown_operation_needs_no_token(called: Called) -> None:
    assert OURS[called].get("security") == THEIRS[called].get("security")
    assert DOCUMENT["security"] == [{"bearerAuth": []}]


# --- bodies and answers


@each
def test_a_body_has_the_fields_of_the_standard(called: Called) -> None:
    theirs, ours = THEIRS[called].get("requestBody"), OURS[called].get("requestBody")
    if theirs is None:
        assert ours is None
        return
    assert ours is not None
    assert (ours["required"], list(ours["content"])) == (True, list(theirs["content"]))
    assert differences(schema(ours), schema(theirs)) == {}


@each
def test_an_answer_has_the_fields_of_the_standard(called: Called) -> None:
    for code in ANSWERED:
        theirs = THEIRS[called]["responses"].get(code)
        if theirs is not None:
            ours = OURS[called]["responses"][code]
            facts = differences(schema(ours), schema(theirs))
            intended = (ALWAYS_PRESENT, f"/items/*{ALWAYS_PRESENT}")
            assert [fact for fact in facts if fact not in intended] == []


def schema(of: Json) -> Json:
    """The schema of a body or an answer, with references resolved."""
    (content,) = standard.ours_resolved(of, DOCUMENT)["content"].values()
    resolved: Json = content["schema"]
    return resolved


def differences(ours: Json, theirs: Json) -> Mapping[str, Any]:
    """Facts that differ: (Secaplane's, the standard's), without the intended ones."""
    own, required = standard.rules(ours), standard.rules(theirs)
    found = {
        fact: (own.get(fact), required.get(fact))
        for fact in sorted(own.keys() | required.keys())
        if own.get(fact) != required.get(fact)
    }
    return {fact: values for fact, values in found.items() if not is_intended(fact, values)}


def is_intended(fact: str, values: tuple[Any, Any] = (None, None)) -> bool:
    fact = fact.removeprefix("/items/*")
    if (fact, *values) in WITHOUT_ADDRESSES:
        return True
    return any(re.fullmatch(pattern, fact) for pattern in DIFFERS)


@needs_files
def test_a_refusal_differs_from_the_standard_in_its_media_type_only() -> None:
    called = Called("get", "/providers/seca.region/v1/regions", "ListRegions")
    theirs, ours = THEIRS[called]["responses"]["400"], OURS[called]["responses"]["400"]
    (media_type,) = standard.ours_resolved(ours, DOCUMENT)["content"]
    assert (media_type, list(theirs["content"])) == (
        "application/problem+json",
        ["application/json"],
    )
    assert differences(schema(ours), schema(theirs)) == {}


# --- one document for each provider


@pytest.mark.parametrize("name", sorted({kind.provider.name for kind in KINDS.values()}))
def test_the_document_of_a_provider_has_unique_ids(name: str) -> None:
    kinds = [kind for kind in KINDS.values() if kind.provider.name == name]
    alone = standard.described(openapi.document(kinds, BASE_URL, unique=True))
    ids = [called.id for called in alone]
    assert len(set(ids)) == len(ids)
    expected = {(m, p) for m, p, _ in OURS if p.startswith(f"/providers/{name}/")}
    assert {(m, p) for m, p, _ in alone} == expected


def test_the_paths_of_a_former_version_have_other_ids_and_are_deprecated() -> None:
    former = "/workspaces/{workspace}/accounts"
    account = KINDS["object-storage-account"]
    alone = standard.described(openapi.document([account], BASE_URL, unique=True))
    for called, operation in alone.items():
        old = former in called.path
        assert operation.get("deprecated", False) is old
        assert called.id.endswith("InWorkspace") is old
