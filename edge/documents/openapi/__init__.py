"""OpenAPI documents, derived from the kinds and served without a token: one of the whole API, and
one for each provider, with unique operation ids for code generators
(docs/decisions/016-openapi.md).
"""

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
from secaplane.edge.documents.openapi.views import COMPONENTS, tenant_view_paths, view_paths
from secaplane.edge.requests.paths import REVIEWS
from secaplane.edge.serving.fixed import fixed
from secaplane.kinds import KINDS, PROVIDERS
from secaplane.kinds.views import AUDIT
from secaplane.model.kind import Kind
from secaplane.model.shape import Json

JSON = "application/json"
DESCRIPTION = """\
The Sovereign European Cloud API as this control plane serves it. A PUT takes the whole desired
state of a resource and is carried out afterwards: GET shows the progress, in `status`.

Every operation also accepts these headers: `X-Request-Id` (repeated in the answer, the logs and the
events), and `Secaplane-At-Least` on GET, with the `Secaplane-Position` of a write that the answer
must include."""


def routes(base_url: str) -> list[HTTPRouteHandler]:
    kinds = list(KINDS.values())
    whole = fixed("/openapi.json", _encode(document(kinds, base_url)), JSON)
    views = fixed(f"/openapi/{AUDIT.name}.json", _encode(view_document(kinds, base_url)), JSON)
    return [whole, *(_of_provider(each, base_url) for each in PROVIDERS), views]


def _of_provider(name: str, base_url: str) -> HTTPRouteHandler:
    kinds = [kind for kind in KINDS.values() if kind.provider.name == name]
    return fixed(f"/openapi/{name}.json", _encode(document(kinds, base_url, unique=True)), JSON)


_encode = msgspec.json.Encoder().encode


def document(kinds: Iterable[Kind], base_url: str, *, unique: bool = False) -> Json:
    """An OpenAPI 3.1 document (its schemas are JSON Schema 2020-12, as msgspec writes them).

    The document of the whole API has the operation ids of the standard's files, which repeat from
    file to file, and the views of the log. With `unique`, it is the document of one provider: the
    operations on a former collection have ids of their own.
    """
    kinds = list(kinds)
    shown: Json = {} if unique else {wellknown.PATH: {"get": WELLKNOWN}}
    for kind in kinds:
        for path, item in paths(kind, unique=unique):
            shown.setdefault(path, {}).update(item)
    if KINDS["tenant"] in kinds:
        shown[REVIEWS] = {"post": review()}
    providers = [kind.provider.name for kind in kinds]
    if not unique:
        shown |= _views(kinds)
        providers.append(AUDIT.name)
    return _described(kinds, shown, providers, base_url)


def view_document(kinds: Iterable[Kind], base_url: str) -> Json:
    """The document of the views of the log alone."""
    kinds = list(kinds)
    return _described(kinds, _views(kinds), [AUDIT.name], base_url)


def _views(kinds: Iterable[Kind]) -> Json:
    of_resources = (each for kind in kinds for each in view_paths(kind))
    return dict([*of_resources, *tenant_view_paths()])


def _described(kinds: Iterable[Kind], shown: Json, providers: Iterable[str], base_url: str) -> Json:
    answers = error_responses()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Secaplane", "version": "v1", "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{"bearerAuth": []}],
        "tags": [_tag(name, base_url) for name in dict.fromkeys(providers)],
        "paths": shown,
        "components": {
            "schemas": used(schemas(kinds) | COMPONENTS, shown, answers),
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
