"""Our OpenAPI documents, made from the kinds and served without a token: one of everything, and one
for each provider, whose operation ids are unique, so that generators can read it
(docs/decisions/016-openapi.md)."""

from collections.abc import Iterable

import msgspec
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.documents import wellknown
from secaplane.edge.documents.openapi.operations import (
    HEADERS,
    WELLKNOWN,
    error_responses,
    paths,
    review,
)
from secaplane.edge.documents.openapi.schemas import schemas, used
from secaplane.edge.requests.paths import REVIEWS
from secaplane.edge.serving.fixed import fixed
from secaplane.kinds import KINDS, PROVIDERS
from secaplane.model.kind import Kind
from secaplane.model.shape import Json

JSON = "application/json"
DESCRIPTION = """\
The Sovereign European Cloud API as this house serves it. A PUT takes the whole of a resource.
What is asked for is done afterwards: GET shows how far it is, in `status`.

Headers that every operation understands besides: `X-Request-Id` (repeated in the answer, the logs
and the events), `If-None-Match` on GET, `Secaplane-At-Least` on GET with the
`Secaplane-Position` of a write that the answer must show."""


def routes(base_url: str) -> list[HTTPRouteHandler]:
    kinds = list(KINDS.values())
    everything = fixed("/openapi.json", _written(document(kinds, base_url)), JSON)
    return [everything, *(_of_provider(each, base_url) for each in PROVIDERS)]


def _of_provider(name: str, base_url: str) -> HTTPRouteHandler:
    kinds = [kind for kind in KINDS.values() if kind.provider.name == name]
    return fixed(f"/openapi/{name}.json", _written(document(kinds, base_url, unique=True)), JSON)


_written = msgspec.json.Encoder().encode


def document(kinds: Iterable[Kind], base_url: str, *, unique: bool = False) -> Json:
    """An OpenAPI 3.1 document (its schemas are JSON Schema 2020-12, as msgspec writes them).

    The one of everything has the ids of the standard's files, which repeat from file to file; in
    one with unique ids that of a path of a former version is told apart.
    """
    kinds = list(kinds)
    shown: Json = {} if unique else {wellknown.PATH: {"get": WELLKNOWN}}
    for kind in kinds:
        for path, item in paths(kind, unique=unique):
            shown.setdefault(path, {}).update(item)
    if KINDS["tenant"] in kinds:
        shown[REVIEWS] = {"post": review()}
    answers = error_responses()
    providers = dict.fromkeys(kind.provider.name for kind in kinds)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Secaplane", "version": "v1", "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{"bearerAuth": []}],
        "tags": [_tag(name, base_url) for name in providers],
        "paths": shown,
        "components": {
            "schemas": used(schemas(kinds), shown, answers),
            "responses": answers,
            "headers": HEADERS,
            "securitySchemes": {
                "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _tag(name: str, base_url: str) -> Json:
    url = f"{base_url}/openapi/{name}.json"
    return {"name": name, "externalDocs": {"description": f"{name}.json", "url": url}}
