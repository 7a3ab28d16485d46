"""Our OpenAPI document, made from the kinds, and served without a token."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from edge.problem import MEDIA_TYPE, Problem
from kinds import KINDS
from model.kind import Kind
from model.shape import Annotations, Condition, Extensions, Json, Labels, State

JSON = "application/json"
CODES: dict[str, tuple[int, ...]] = {
    "list": (400, 401, 403, 406, 500, 503),
    "get": (400, 401, 403, 404, 406, 500, 503),
    "put": (400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 500, 503),
    "delete": (400, 401, 403, 404, 409, 412, 500, 503),
    "post": (400, 401, 403, 404, 409, 412, 500, 503),
}
"""The classes of operations (digest, section 3), and what any HTTP server may answer besides."""


def routes(base_url: str) -> list[HTTPRouteHandler]:
    written = msgspec.json.encode(document(KINDS.values(), base_url))

    @route("/openapi.json", http_method=[HttpMethod.GET, HttpMethod.HEAD], name="openapi")
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(written, media_type=JSON)

    return [openapi]


def document(kinds: Iterable[Kind], base_url: str) -> Json:
    """An OpenAPI 3.1 document (its schemas are JSON Schema 2020-12, as msgspec writes them)."""
    kinds = list(kinds)
    paths: Json = {}
    for kind in kinds:
        paths[kind.url] = {"get": _operation(kind, "list")}
        item = {"get": _operation(kind, "get")}
        if kind.writable:
            item["put"] = _operation(kind, "put")
        if kind.writable and kind.deletable:
            item["delete"] = _operation(kind, "delete")
        paths[f"{kind.url}/{{name}}"] = item
        for action in kind.actions:
            paths[f"{kind.url}/{{name}}/{action}"] = {"post": _operation(kind, "post", action)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Secaplane", "version": "v1", "summary": "A SECA control plane"},
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(kinds),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(kind: Kind, verb: str, action: str = "") -> Json:
    name = {
        "list": f"List{_plural(kind.title)}",
        "get": f"Get{kind.title}",
        "put": f"CreateOrUpdate{kind.title}",
        "delete": f"Delete{kind.title}",
        "post": f"{action.capitalize()}{kind.title}",
    }[verb]
    operation: Json = {
        "operationId": f"{kind.provider.name}.{name}",
        "tags": [kind.provider.joined],
        "parameters": [*_path_parameters(kind, verb), *_parameters(verb)],
        "responses": _responses(kind, verb),
    }
    if verb == "put":
        schema = _ref(_component(kind, "Request"))
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return operation


def _responses(kind: Kind, verb: str) -> Json:
    shown: Json = {
        str(code): {"description": "refused", "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
        for code in CODES[verb]
    }
    resource = {"description": "the resource", "content": _content(_component(kind, ""))}
    match verb:
        case "list":
            shown["200"] = {"description": "a page", "content": _content(_component(kind, "List"))}
            shown["304"] = {"description": "not modified"}
        case "get":
            shown |= {"200": resource, "304": {"description": "not modified"}}
        case "put":
            shown |= {"200": resource, "201": resource}
        case _:
            shown["202"] = {"description": "accepted"}
    return dict(sorted(shown.items()))


def _path_parameters(kind: Kind, verb: str) -> list[Json]:
    names = kind.scope if verb == "list" else (*kind.scope, "name")
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _parameters(verb: str) -> list[Json]:
    if verb == "list":
        limit = {"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000}
        return [
            {"name": "labels", "in": "query", "schema": {"type": "string"}},
            {"name": "limit", "in": "query", "schema": limit},
            {"name": "skipToken", "in": "query", "schema": {"type": "string"}},
            {"name": "Accept", "in": "header", "schema": {"type": "string", "default": JSON}},
        ]
    if verb == "get":
        return []
    return [{"name": "if-unmodified-since", "in": "header", "schema": {"type": "integer"}}]


def _schemas(kinds: Sequence[Kind]) -> Json:
    """Each kind's spec and status as msgspec describes them, and the resources around them."""
    types = [Problem, Condition, Labels, Annotations, Extensions, State]
    types += [kind.spec for kind in kinds] + [kind.status for kind in kinds]
    written, found = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    parts = dict(
        zip(("problem", "condition", "labels", "annotations", "extensions"), written, strict=False)
    )
    specs = written[6 : 6 + len(kinds)]
    statuses = written[6 + len(kinds) :]
    for kind, spec, status in zip(kinds, specs, statuses, strict=True):
        found |= _resource_schemas(kind, spec, status, parts, found)
    return found


def _resource_schemas(kind: Kind, spec: Json, status: Json, parts: Json, found: Json) -> Json:
    common = {part: parts[part] for part in ("labels", "annotations", "extensions")}
    anything: Json = {"description": "written by the server; ignored in a request"}
    metadata = {"type": "object", "required": ["name", "kind", "ref"], "additionalProperties": True}
    shown_status = _status_schema(status, found)
    answer = {"metadata": metadata, "spec": spec}
    if kind.writable:
        answer["status"] = shown_status
    return {
        _component(kind, ""): {
            "type": "object",
            "properties": common | answer,
            "required": list(answer),
        },
        _component(kind, "Request"): {
            "type": "object",
            "properties": common | {"metadata": anything, "spec": spec, "status": anything},
            "required": [] if kind.spec_optional else ["spec"],
            "additionalProperties": False,
        },
        _component(kind, "List"): {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": _ref(_component(kind, ""))},
                "metadata": {"type": "object", "additionalProperties": True},
            },
            "required": ["items", "metadata"],
        },
    }


def _status_schema(status: Json, found: Json) -> Json:
    own = found.get(status.get("$ref", "").rpartition("/")[2], {})
    conditions = {"type": "array", "maxItems": 32, "items": _ref("Condition")}
    return {
        "type": "object",
        "properties": own.get("properties", {})
        | {"state": _ref("State"), "conditions": conditions},
        "required": ["conditions", *own.get("required", [])],
    }


def _component(kind: Kind, part: str) -> str:
    """Titles repeat (`Sku` in three providers), so a kind's own name leads."""
    return "".join(word.capitalize() for word in kind.name.split("-")) + part


def _plural(title: str) -> str:
    return re.sub(r"y$", "ie", title) + "s"


def _content(component: str) -> Json:
    return {JSON: {"schema": _ref(component)}}


def _ref(component: str) -> Json:
    return {"$ref": f"#/components/schemas/{component}"}
