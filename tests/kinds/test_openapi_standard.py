"""Our document against the standard's: operation by operation, field by field."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from secaplane.edge.documents import openapi
from secaplane.kinds import KINDS
from secaplane.model.shape import Json
from tests.kinds import standard
from tests.kinds.standard import Called

BASE_URL = "https://example.org"
DOCUMENT: Json = msgspec.json.decode(
    msgspec.json.encode(openapi.document(KINDS.values(), BASE_URL))
)
OURS = standard.described(DOCUMENT)
THEIRS = standard.from_files() if standard.at_hand() else {}
needs_files = pytest.mark.skipif(not THEIRS, reason="the standard's files are not at hand")
each = pytest.mark.parametrize("called", list(THEIRS), ids=lambda called: " ".join(called[:2]))
ANSWERED = ("200", "201")

DIFFERS: Mapping[str, str] = {
    r"/spec/permissions/\*/verb/\* (maxLength|pattern)": "post.restart has more than 7 characters, "
    "and which verbs there are is known (A-10)",
    r"/metadata/kind enum": "kinds that the standard gives no name (A-12), and our own",
    r"/status/(cidr|powerState) default": "a status says what is known; nothing is filled in",
    r"/spec/response/code type": "an HTTP status has no fractions",
    r"/spec/request/body type": "any spec is an object; which one, its kind says",
}
"""Where we say something else on purpose, and why; any other difference is a fault. That we say
`additionalProperties: false` in a body is no fact that is compared: unknown fields are refused
everywhere (CONTRACT: Requests)."""
ALWAYS_THERE = " required"
"""Answers say what is always there, of the resource's own parts; the standard asks for less."""


# --- the operations


def test_all_operations_of_the_standard_are_described_by_their_ids() -> None:
    wanted = standard.operations()
    assert len(wanted) == standard.OPERATIONS_COUNT
    assert wanted - set(OURS) == set()


def test_what_we_describe_besides_is_ours() -> None:
    besides = {path for _, path, _ in set(OURS) - standard.operations()}
    assert {re.sub(r"/{name}$", "", path) for path in besides} == {
        "/providers/secaplane.admin/v1/tenants",
        "/providers/secaplane.admin/v1/tenants/{tenant}/access-reviews",
        "/providers/secaplane.admin/v1/revocations",
        "/providers/seca.kubernetes/v1beta1/tenants/{tenant}/skus",
        "/providers/seca.object-storage/v1beta1/tenants/{tenant}/accounts",
    }


@needs_files
def test_our_table_of_the_standard_is_what_its_files_say() -> None:
    assert set(THEIRS) == standard.operations()


@pytest.mark.parametrize("called", sorted(standard.operations()), ids=lambda each: each.id)
def test_an_operation_answers_what_its_class_says(called: Called) -> None:
    answers = set(OURS[called]["responses"])
    if called.id == "getWellknown":
        assert answers == {"200", "500"}
        return
    wanted = {
        "List": {"200", "400", "401", "403", "500"},
        "Get": {"200", "400", "401", "403", "404", "500"},
        "Create": {"200", "201", "400", "401", "403", "404", "409", "412", "422", "500"},
    }
    other = {"202", "400", "401", "403", "404", "409", "412", "500"}
    (kind,) = re.findall("^[A-Z][a-z]+", called.id)
    assert answers == wanted.get(kind, other) | {"default"}


@each
def test_an_operation_answers_exactly_the_codes_of_the_standard(called: Called) -> None:
    default = set() if called.id == "getWellknown" else {"default"}
    assert set(OURS[called]["responses"]) == set(THEIRS[called]["responses"]) | default


@each
def test_an_operation_takes_the_parameters_of_the_standard_in_its_order(called: Called) -> None:
    assert parameters(OURS[called]) == parameters(THEIRS[called])


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
def test_a_body_is_that_of_the_standard_field_by_field(called: Called) -> None:
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
            found = differences(schema(ours), schema(theirs))
            assert [
                fact for fact in found if fact not in (ALWAYS_THERE, f"/items/*{ALWAYS_THERE}")
            ] == []


def schema(of: Json) -> Json:
    """Of a body or an answer, nothing left to look up."""
    (content,) = standard.ours_resolved(of, DOCUMENT)["content"].values()
    found: Json = content["schema"]
    return found


def differences(ours: Json, theirs: Json) -> Mapping[str, Any]:
    """What one says and the other does not: (ours, the standard's), those on purpose left out."""
    mine, wanted = standard.rules(ours), standard.rules(theirs)
    return {
        fact: (mine.get(fact), wanted.get(fact))
        for fact in sorted(mine.keys() | wanted.keys())
        if mine.get(fact) != wanted.get(fact) and not on_purpose(fact)
    }


def on_purpose(fact: str) -> bool:
    return any(re.fullmatch(pattern, fact.removeprefix("/items/*")) for pattern in DIFFERS)


@needs_files
def test_a_refusal_looks_as_in_the_standard_but_for_its_media_type() -> None:
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
def test_a_providers_document_has_unique_ids(name: str) -> None:
    kinds = [kind for kind in KINDS.values() if kind.provider.name == name]
    alone = standard.described(openapi.document(kinds, BASE_URL, unique=True))
    ids = [called.id for called in alone]
    assert len(set(ids)) == len(ids)
    wanted = {(m, p) for m, p, _ in OURS if p.startswith(f"/providers/{name}/")}
    assert {(m, p) for m, p, _ in alone} == wanted


def test_the_paths_of_a_former_version_are_told_apart_and_deprecated() -> None:
    former = "/workspaces/{workspace}/accounts"
    account = KINDS["object-storage-account"]
    alone = standard.described(openapi.document([account], BASE_URL, unique=True))
    for called, operation in alone.items():
        old = former in called.path
        assert operation.get("deprecated", False) is old
        assert called.id.endswith("InWorkspace") is old
