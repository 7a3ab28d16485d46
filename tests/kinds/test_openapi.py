"""The routes that the catalogue makes, and the document that describes them."""

import re
from typing import Any, cast

import msgspec
import pytest

import secaplane.command.http.reviews
import secaplane.command.http.routes
import secaplane.query.http
from secaplane.edge.documents import openapi, wellknown
from secaplane.edge.requests.paths import allowed
from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import Json

Route = tuple[str, str]
EVERY = list(KINDS.values())
each = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)


def routed() -> set[Route]:
    """(path, method) of every route of both sides; none of them is called."""
    writer, reader = cast(Any, None), cast(Any, None)
    handlers = [
        *secaplane.command.http.routes.routes(writer),
        *secaplane.command.http.reviews.routes(writer),
        *secaplane.query.http.routes(reader, reader),
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
def test_a_kind_has_the_routes_that_its_row_says(kind: Kind) -> None:
    wanted = set[Route]()
    for url in kind.urls:
        item = f"{url}/{{name}}"
        wanted |= {(url, "GET"), *((item, verb.upper()) for verb in kind.verbs)}
        wanted |= {(f"{item}/{action}", "POST") for action in kind.actions}
    own = re.compile(f"({'|'.join(map(re.escape, kind.urls))})(/{{name}}(/[a-z]+)?)?")
    assert {route for route in routed() if own.fullmatch(route[0])} == wanted


@each
def test_both_sides_know_which_methods_a_path_takes(kind: Kind) -> None:
    for url in kind.urls:
        assert allowed(url.format_map(IDS)) == "GET, HEAD"
        methods = {verb.upper() for verb in kind.verbs} | ({"HEAD"} if kind.verbs else set())
        assert set(filter(None, allowed(f"{url.format_map(IDS)}/one").split(", "))) == methods


IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k"}


def test_every_reference_in_the_document_leads_somewhere() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    for part in ("schemas", "responses", "headers"):
        wanted = set(re.findall(rf'"\$ref":"#/components/{part}/([^"]+)"', text))
        assert wanted == set(DOCUMENT["components"][part])


def test_every_id_in_a_path_is_a_parameter() -> None:
    for (path, _), operation in OPERATIONS.items():
        named_there = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert named_there == re.findall(r"{(\w+)}", path)


def test_every_operation_belongs_to_a_tag_that_is_described() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert used == tags | {"Wellknown"}


def test_the_document_is_the_same_every_time() -> None:
    again = openapi.document(EVERY, "https://example.org")
    assert msgspec.json.encode(again) == msgspec.json.encode(DOCUMENT)
