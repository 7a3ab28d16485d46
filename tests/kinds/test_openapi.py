"""The routes derived from the kinds, and the OpenAPI document that describes them."""

import re
from typing import Any, cast

import msgspec
import pytest

import secaplane.command.http.reviews
import secaplane.command.http.routes
import secaplane.command.http.undo
import secaplane.query.activity.http
import secaplane.query.exports
import secaplane.query.history.http
import secaplane.query.http
from secaplane.edge.documents import openapi, wellknown
from secaplane.edge.requests.paths import allowed
from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import Json
from tests.steps import steps

Route = tuple[str, str]
STEPS_PER_BYTE = 4
EVERY = list(KINDS.values())
each = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)


def routed() -> set[Route]:
    """(path, method) of every route of the command and query side."""
    writer, reader = cast(Any, None), cast(Any, None)
    handlers = [
        *secaplane.command.http.routes.routes(writer),
        *secaplane.command.http.reviews.routes(writer, writer, writer),
        *secaplane.command.http.undo.routes(writer),
        *secaplane.query.http.routes(reader, reader, reader),
        *secaplane.query.history.http.routes(reader, reader),
        *secaplane.query.exports.routes(reader, reader),
        *secaplane.query.activity.http.routes(reader, reader),
    ]
    return {
        (re.sub(r":str}", "}", path), str(method))
        for handler in handlers
        for path in handler.paths
        for method in handler.http_methods
        if method not in ("HEAD", "OPTIONS")
    }


DOCUMENT = openapi.document(EVERY, "https://example.org")
OPERATIONS: dict[Route, Json] = {
    (path, method.upper()): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def test_every_route_is_described_and_nothing_else() -> None:
    assert set(OPERATIONS) == routed() | {(wellknown.PATH, "GET")}


@each
def test_a_kind_has_the_routes_of_its_definition(kind: Kind) -> None:
    expected = set[Route]()
    for url in kind.urls:
        item = f"{url}/{{name}}"
        expected |= {(url, "GET"), *((item, verb.upper()) for verb in kind.verbs)}
        expected |= {(f"{item}/{action}", "POST") for action in kind.actions}
    own = re.compile(f"({'|'.join(map(re.escape, kind.urls))})(/{{name}}(/[a-z]+)?)?")
    assert {route for route in routed() if own.fullmatch(route[0])} == expected


@each
def test_both_sides_know_the_methods_of_a_path(kind: Kind) -> None:
    for url in kind.urls:
        assert allowed(url.format_map(IDS)) == "GET, HEAD"
        methods = {verb.upper() for verb in kind.verbs} | ({"HEAD"} if kind.verbs else set())
        assert set(filter(None, allowed(f"{url.format_map(IDS)}/one").split(", "))) == methods


IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k"}


def test_every_reference_in_the_document_resolves_and_every_component_is_used() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    for part in ("schemas", "responses", "headers"):
        referenced = set(re.findall(rf'"\$ref":"#/components/{part}/([^"]+)"', text))
        assert referenced == set(DOCUMENT["components"][part])


def test_every_id_in_a_path_is_a_parameter() -> None:
    for (path, _), operation in OPERATIONS.items():
        named_in_path = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert named_in_path == re.findall(r"{(\w+)}", path)


def test_every_operation_has_a_described_tag() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert used == tags | {"Wellknown"}


def test_the_document_is_deterministic() -> None:
    again = openapi.document(EVERY, "https://example.org")
    assert msgspec.json.encode(again) == msgspec.json.encode(DOCUMENT)


def test_the_document_has_no_example_to_parse_and_costs_no_more_steps_than_bytes() -> None:
    """The document is made when a process starts, from nothing that a caller sends."""
    texts = re.findall(rb'"examples?":', msgspec.json.encode(DOCUMENT))
    assert texts == []

    def taken(kinds: list[Kind]) -> tuple[int, int]:
        made: list[bytes] = []

        def make() -> None:
            made.append(msgspec.json.encode(openapi.document(kinds, "https://example.org")))

        make()  # what is cached for ever
        return steps(make), len(made[0])

    few, all_ = taken(EVERY[: len(EVERY) // 2]), taken(EVERY)
    assert all_[0] - few[0] <= STEPS_PER_BYTE * (all_[1] - few[1])
