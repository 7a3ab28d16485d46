"""The OpenAPI document compared with the standard's: operation by operation, field by field."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from secaplane.edge.documents import openapi
from secaplane.kinds import KINDS
from secaplane.model.shape import Json
from tests.kinds import standard
from tests.kinds.standard import OperationKey

BASE_URL = "https://example.org"
DOCUMENT: Json = msgspec.json.decode(
    msgspec.json.encode(openapi.document(KINDS.values(), BASE_URL))
)
OURS = standard.described(DOCUMENT)
THEIRS = standard.from_files() if standard.is_present() else {}
needs_files = pytest.mark.skipif(not THEIRS, reason="the standard's files are not present")
each = pytest.mark.parametrize("key", list(THEIRS), ids=lambda key: " ".join(key[:2]))
ANSWERED = ("200", "201")

DIFFERS: Mapping[str, str] = {
    r"/spec/permissions/\*/verb/\* (maxLength|pattern)": "post.restart has more than 7 characters, "
    "and the known verbs are listed (A-10)",
    r"/metadata/kind enum": "kinds that the standard does not name (A-12), and Secaplane's own",
    r"/status/(cidr|powerState) default": "a status has only observed values, no defaults",
    r"/spec/response/code type": "an HTTP status has no fractions",
    r"/spec/request/body type": "a spec is an object, described by the schema of its kind",
}
"""Intended differences and their reasons; any other difference is a fault. `additionalProperties:
false` in a body is not compared: unknown fields are refused everywhere (CONTRACT: Requests)."""
ALWAYS_THERE = " required"
"""Answers mark the parts that are always present as required; the standard marks fewer."""


# --- the operations


def test_all_operations_of_the_standard_are_described_by_their_ids() -> None:
    expected = standard.operations()
    assert len(expected) == standard.OPERATIONS_COUNT
    assert expected - set(OURS) == set()


def test_additional_operations_are_secaplanes_own() -> None:
    additional = {path for _, path, _ in set(OURS) - standard.operations()}
    assert {re.sub(r"/{name}$", "", path) for path in additional} == {
        "/providers/secaplane.admin/v1/tenants",
        "/providers/secaplane.admin/v1/tenants/{tenant}/access-reviews",
        "/providers/secaplane.admin/v1/revocations",
        "/providers/seca.kubernetes/v1beta1/tenants/{tenant}/skus",
        "/providers/seca.object-storage/v1beta1/tenants/{tenant}/accounts",
    }


@needs_files
def test_the_table_of_operations_equals_the_files_of_the_standard() -> None:
    assert set(THEIRS) == standard.operations()


@pytest.mark.parametrize("key", sorted(standard.operations()), ids=lambda each: each.id)
def test_an_operation_answers_the_codes_of_its_class(key: OperationKey) -> None:
    answers = set(OURS[key]["responses"])
    if key.id == "getWellknown":
        assert answers == {"200", "500"}
        return
    expected = {
        "List": {"200", "400", "401", "403", "500"},
        "Get": {"200", "400", "401", "403", "404", "500"},
        "Create": {"200", "201", "400", "401", "403", "404", "409", "412", "422", "500"},
    }
    other = {"202", "400", "401", "403", "404", "409", "412", "500"}
    (kind,) = re.findall("^[A-Z][a-z]+", key.id)
    assert answers == expected.get(kind, other) | {"default"}


@each
def test_an_operation_answers_exactly_the_codes_of_the_standard(key: OperationKey) -> None:
    default = set() if key.id == "getWellknown" else {"default"}
    assert set(OURS[key]["responses"]) == set(THEIRS[key]["responses"]) | default


@each
def test_an_operation_takes_the_parameters_of_the_standard_in_its_order(key: OperationKey) -> None:
    assert parameters(OURS[key]) == parameters(THEIRS[key])


def parameters(operation: Json) -> list[Any]:
    return [
        (each["name"], each["in"], each.get("required", False), standard.rules(each["schema"]))
        for each in operation.get("parameters", ())
    ]


@each
def test_only_the_wellknown_operation_needs_no_token(key: OperationKey) -> None:
    assert OURS[key].get("security") == THEIRS[key].get("security")
    assert DOCUMENT["security"] == [{"bearerAuth": []}]


# --- bodies and answers


@each
def test_a_body_is_that_of_the_standard_field_by_field(key: OperationKey) -> None:
    theirs, ours = THEIRS[key].get("requestBody"), OURS[key].get("requestBody")
    if theirs is None:
        assert ours is None
        return
    assert ours is not None
    assert (ours["required"], list(ours["content"])) == (True, list(theirs["content"]))
    assert differences(schema(ours), schema(theirs)) == {}


@each
def test_an_answer_has_the_fields_of_the_standard(key: OperationKey) -> None:
    for code in ANSWERED:
        theirs = THEIRS[key]["responses"].get(code)
        if theirs is not None:
            ours = OURS[key]["responses"][code]
            facts = differences(schema(ours), schema(theirs))
            assert [
                fact for fact in facts if fact not in (ALWAYS_THERE, f"/items/*{ALWAYS_THERE}")
            ] == []


def schema(of: Json) -> Json:
    """The schema of a body or an answer, with references resolved."""
    (content,) = standard.ours_resolved(of, DOCUMENT)["content"].values()
    resolved: Json = content["schema"]
    return resolved


def differences(ours: Json, theirs: Json) -> Mapping[str, Any]:
    """Fact -> (ours, the standard's) where they differ, without intended differences."""
    actual, expected = standard.rules(ours), standard.rules(theirs)
    return {
        fact: (actual.get(fact), expected.get(fact))
        for fact in sorted(actual.keys() | expected.keys())
        if actual.get(fact) != expected.get(fact) and not on_purpose(fact)
    }


def on_purpose(fact: str) -> bool:
    return any(re.fullmatch(pattern, fact.removeprefix("/items/*")) for pattern in DIFFERS)


@needs_files
def test_a_refusal_equals_the_standards_except_for_its_media_type() -> None:
    key = OperationKey("get", "/providers/seca.region/v1/regions", "ListRegions")
    theirs, ours = THEIRS[key]["responses"]["400"], OURS[key]["responses"]["400"]
    (media_type,) = standard.ours_resolved(ours, DOCUMENT)["content"]
    assert (media_type, list(theirs["content"])) == (
        "application/problem+json",
        ["application/json"],
    )
    assert differences(schema(ours), schema(theirs)) == {}


# --- one document for each provider


@pytest.mark.parametrize("name", sorted({kind.provider.name for kind in KINDS.values()}))
def test_a_providers_document_has_unique_ids(name: str) -> None:
    kinds = [kind for kind in KINDS.values() if kind.provider.name == name]
    alone = standard.described(openapi.document(kinds, BASE_URL, unique=True))
    ids = [key.id for key in alone]
    assert len(set(ids)) == len(ids)
    expected = {(m, p) for m, p, _ in OURS if p.startswith(f"/providers/{name}/")}
    assert {(m, p) for m, p, _ in alone} == expected


def test_paths_of_a_former_version_have_their_own_ids_and_are_deprecated() -> None:
    former = "/workspaces/{workspace}/accounts"
    account = KINDS["object-storage-account"]
    alone = standard.described(openapi.document([account], BASE_URL, unique=True))
    for key, operation in alone.items():
        old = former in key.path
        assert operation.get("deprecated", False) is old
        assert key.id.endswith("InWorkspace") is old
