"""Schemas that all resources share: metadata, status, references, lists, errors.

They follow the standard (SECA: errors, resource envelope, status), limits included. The structs
in `model` are less strict in places, because only the control plane writes those values.
"""

from typing import Any

from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import Json, State

URN_LENGTH_MAX = 255
CONDITIONS_MAX = 32


def text(longest: int, **more: Any) -> Json:
    return {"type": "string", "maxLength": longest, **more}


def ref(component: str) -> Json:
    return {"$ref": f"#/components/schemas/{component}"}


def record(properties: Json, *optional: str, **more: Any) -> Json:
    """An object whose fields are required, except the optional ones."""
    required = [field for field in properties if field not in optional]
    shown: Json = {"type": "object", "properties": properties}
    return shown | ({"required": required} if required else {}) | more


NAME = text(
    128,
    minLength=1,
    pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
)
DATE_TIME: Json = {"type": "string", "format": "date-time"}
PERMISSION: Json = {"provider": text(64), "resource": text(256), "verb": text(7)}
MODIFICATION: Json = {
    "createdAt": DATE_TIME,
    "deletedAt": DATE_TIME,
    "lastModifiedAt": DATE_TIME,
    "resourceVersion": {"type": "integer", "format": "int64"},
}
SCOPE = text(64)


def metadata(kind: Kind) -> tuple[str, Json]:
    """A kind's metadata class: its name in the standard, and its schema."""
    fields: Json = {
        "name": NAME,
        **PERMISSION,
        "apiVersion": text(16, default="v1"),
        "kind": ref("ResourceKind"),
        "ref": text(URN_LENGTH_MAX),
    }
    if kind.is_versioned:
        fields |= MODIFICATION
    scopes = [field for _, field in kind.metadata_scopes]
    scopes += ["region"] if kind.provider.regional else []
    fields |= dict.fromkeys(scopes, SCOPE)
    schema = record(fields, "deletedAt", description="Written by the server.")
    return _class(kind, scopes), schema


def _class(kind: Kind, shown: list[str]) -> str:
    if not kind.is_versioned:
        return "SkuResourceMetadata"
    if "region" not in shown:
        return f"Global{''.join(each.capitalize() for each in shown)}ResourceMetadata"
    inner = shown[-2].capitalize() if shown[-2] != "tenant" else ""
    return f"Regional{inner}ResourceMetadata"


def labelled(kind: Kind) -> bool:
    """Regions and views have no labels, annotations and extensions."""
    return kind.writable or not kind.is_versioned


LABEL_KEY = r"^[^=!<>,\s]([^=!<>,]*[^=!<>,\s])?$"
"""A selector can name it."""
USER_PARTS: Json = {"labels": ref("Labels"), "annotations": ref("Annotations")}
USER_PARTS["extensions"] = ref("Extensions")


def _map(values: Json, description: str) -> Json:
    return {"type": "object", "additionalProperties": values, "description": description}


def components() -> Json:
    state = {"type": "string", "enum": [each.value for each in State]}
    conditions = {"type": "array", "maxItems": CONDITIONS_MAX, "items": ref("StatusCondition")}
    permission = PERMISSION | {"skipToken": {"type": "string"}}
    return {
        "Labels": _map(text(63), "At most 64, with keys of at most 128 characters.")
        | {"propertyNames": {"pattern": LABEL_KEY}},
        "Annotations": _map(text(1024), "At most 64, with keys of at most 128 characters."),
        "Extensions": _map(
            {"type": "string"},
            "At most 64; unknown keys are refused.",
        ),
        "ResourceKind": {"type": "string", "enum": sorted(KINDS)},
        "ResourceState": state,
        "StatusCondition": record(
            {
                "state": ref("ResourceState"),
                "lastTransitionAt": DATE_TIME,
                "type": {"type": "string"},
                "reason": text(1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
                "message": text(32_768),
            },
            "type",
            "reason",
            "message",
        ),
        "Status": record({"state": ref("ResourceState"), "conditions": conditions}, "state"),
        "ResponseMetadata": record(permission, "skipToken"),
        "Wellknown": WELLKNOWN,
        "Error": ERROR,
    }


WELLKNOWN = record(
    {
        "version": {"type": "string"},
        "endpoints": {
            "type": "array",
            "items": record({"provider": {"type": "string"}, "url": {"type": "string"}}),
        },
    }
)
ERROR = record(
    {
        "type": text(4000, description="A URI."),
        "title": text(1024),
        "status": {"type": "number", "minimum": 100, "maximum": 599},
        "detail": text(32_768, description="The error, and how to repair the request."),
        "instance": text(256, description="Contains the request id."),
        "sources": {
            "type": "array",
            "items": record(
                {
                    "pointer": text(256, description="JSON Pointer into the body, or empty."),
                    "parameter": text(64, description="Name of a parameter, or empty."),
                }
            ),
        },
        "meta": {"type": "object"},
    },
    "meta",
)
