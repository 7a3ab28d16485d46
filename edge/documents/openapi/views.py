"""Operations of the views of the log (`kinds.views`): for each kind, because a resource's
`metadata.ref` in their paths has slashes, which no parameter of a path can hold."""

from collections.abc import Iterator

from secaplane.edge.documents.openapi.envelope import DATE_TIME, record, ref, text
from secaplane.edge.documents.openapi.operations import (
    ACTIVITY_FILTERS,
    LIST_PARAMETERS,
    PRECONDITION,
    READ_TAGS,
    WRITE_TAGS,
    answer,
    path_parameters,
    refusals,
)
from secaplane.edge.documents.openapi.schemas import name
from secaplane.kinds.views import (
    ACTIVITY,
    AUDIT,
    EXPORTS,
    LATEST,
    UNDO,
    tenant_view_path,
    view_path,
)
from secaplane.model.kind import Kind
from secaplane.model.shape import Json
from secaplane.readmodel.activity_rows import OUTCOMES

POINT = "A time (RFC 3339), a position such as `SECA:73`, or a `resourceVersion`."


def _parameter(name: str, description: str, *, required: bool = False) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "schema": {"type": "string"},
        "description": description,
    }


def view_paths(kind: Kind) -> Iterator[tuple[str, Json]]:
    """The paths of a kind's views."""
    if not kind.has_history:
        return
    urn = f"{kind.provider.full_name}/{kind.collection}/{{name}}"
    for segment, (title, summary, parameters, component) in _OF_ONE_RESOURCE.items():
        path = view_path(segment, urn)
        operation: Json = {
            "operationId": title.format(name(kind)),
            "tags": [AUDIT.name],
            "summary": summary,
            "parameters": [*path_parameters(path), *parameters, *READ_TAGS],
            "responses": {"200": answer("The answer.", "ETag", content=component)}
            | refusals("get"),
        }
        yield path, {"get": operation}
    if "put" in kind.verbs:
        yield view_path(UNDO, urn), {"post": _undo(kind, view_path(UNDO, urn))}


def _activity_path() -> Iterator[tuple[str, Json]]:
    """The paths of the activity in a tenant."""
    path = tenant_view_path(ACTIVITY)
    workspace = _parameter("workspace", "Only what is in this workspace.")
    operation: Json = {
        "operationId": "ListActivity",
        "tags": [AUDIT.name],
        "summary": "Accepted requests and reports, refused requests and reads of operators in the "
        "present life of the tenant, the newest first; a page also ends by bytes.",
        "parameters": [
            *path_parameters(path),
            *_PAGES,
            *ACTIVITY_FILTERS,
            workspace,
            *READ_TAGS,
        ],
        "responses": {"200": answer("A page.", "ETag", content="ActivityIterator")}
        | refusals("list"),
    }
    yield path, {"get": operation}
    one: Json = {
        "operationId": "GetActivity",
        "tags": [AUDIT.name],
        "summary": "One item of the activity, by its `name` in the list.",
        "parameters": [*path_parameters(f"{path}/{{name}}"), *READ_TAGS],
        "responses": {"200": answer("The item.", "ETag", content="ActivityItem")} | refusals("get"),
    }
    yield f"{path}/{{name}}", {"get": one}


def tenant_view_paths() -> Iterator[tuple[str, Json]]:
    """The paths of the views of a whole tenant."""
    yield from _activity_path()
    path = tenant_view_path(EXPORTS)
    listing: Json = {
        "operationId": "ListExports",
        "tags": [AUDIT.name],
        "summary": "The export of the tenant's history that can be made now.",
        "parameters": [*path_parameters(path), *READ_TAGS],
        "responses": {"200": answer("A page.", "ETag", content="ExportIterator")}
        | refusals("list"),
    }
    yield path, {"get": listing}
    seen = _parameter(
        "seen",
        "Sizes of earlier checkpoints with which the export is to be compared, such as `SECA:700`.",
    )
    continued = (
        _parameter("export", "With `offset`: the name of an archive, from `Secaplane-Export`."),
        _parameter("offset", "The number of its bytes that the client has already."),
    )
    archive = {"schema": {"type": "string", "format": "binary"}}
    export: Json = {
        "operationId": "GetExport",
        "tags": [AUDIT.name],
        "summary": "The history of the tenant, with proofs, as a tar archive.",
        "description": "Unpacked, `secaplane audit verify` verifies it without a network. Of other "
        "tenants it holds only hashes and the size of the log.",
        "parameters": [*path_parameters(path), seen, *continued],
        "responses": {
            "200": answer("The archive, or its rest.") | {"content": {"application/x-tar": archive}}
        }
        | refusals("get"),
    }
    yield f"{path}/{LATEST}", {"get": export}


def _undo(kind: Kind, path: str) -> Json:
    own = name(kind)
    to = _parameter("to", "The `resourceVersion` of the present life to restore.", required=True)
    secrets = _parameter(
        "secrets",
        "`restore`: the secret fields of then. Left out, they keep their values of today.",
    )
    return {
        "operationId": f"Undo{own}",
        "tags": [AUDIT.name],
        "summary": "Write the desired state of a former version again.",
        "description": "A new event, judged like a PUT of the caller, who also needs `get` on the "
        "resource's history. Secret fields are not shown.",
        "parameters": [*path_parameters(path), to, secrets, PRECONDITION, *WRITE_TAGS],
        "responses": {"200": answer("Updated.", "Secaplane-Position", content=own)}
        | refusals("undo"),
    }


_PAGES = [each for each in LIST_PARAMETERS if each["name"] in ("limit", "skipToken")]
_OF_ONE_RESOURCE: dict[str, tuple[str, str, list[Json], str]] = {
    "history": (
        "Get{}History",
        "The events of the resource, the newest first; a page also ends by bytes.",
        _PAGES,
        "HistoryIterator",
    ),
    "diff": (
        "Diff{}",
        "The JSON Patch (RFC 6902) between the answers of a GET as of two points.",
        [
            _parameter("from", POINT, required=True),
            _parameter("to", f"{POINT} Left out: the newest state."),
        ],
        "HistoryDifference",
    ),
    "blame": (
        "Blame{}",
        "The event that set each field of the newest desired state.",
        [],
        "HistoryBlame",
    ),
}
_POINTER = text(256, description="JSON Pointer (RFC 6901).")
_POSITION = text(84, description="Position in the log, such as `SECA:73`.")
_STATE: Json = {
    "position": _POSITION,
    "time": DATE_TIME,
    "resourceVersion": {"type": "integer", "format": "int64"},
}
_EVENT: Json = _STATE | {"request": {"type": "string"}, "actor": ref("HistoryActor")}
_TEXTS = ("sub", "issuer", "token", "assignment", "policyRevision", "clientAddress", "userAgent")
_COUNT: Json = {"type": "integer", "minimum": 0}
_LEFT_OUT: Json = _COUNT | {
    "description": "Refused requests of the caller, here or elsewhere, that were counted and not "
    "recorded before this one."
}
COMPONENTS: Json = {
    "ActivityItem": record(
        {
            "name": {"type": "string", "description": "Last step of the path of this item."},
            "position": _POSITION,
            "time": DATE_TIME,
            "until": DATE_TIME,
            "type": {"type": "string"},
            "outcome": {"type": "string", "enum": [*OUTCOMES]},
            "verb": {"type": "string"},
            "status": {"type": "integer", "minimum": 100, "maximum": 599},
            "problem": {"type": "string", "description": "Type of the problem of a refusal."},
            "resource": record(
                {each: {"type": "string"} for each in ("kind", "ref", "path", "uid")},
                *("kind", "ref", "path", "uid"),
            ),
            "request": {"type": "string"},
            "cause": _POSITION,
            "actor": ref("HistoryActor"),
            "reason": {"type": "string"},
            "leftOut": _LEFT_OUT,
            "refused": _COUNT,
            "callers": _COUNT,
            "most": {"type": "array", "maxItems": 20, "items": ref("UnknownCaller")},
        },
        *("position", "until", "verb", "status", "problem", "resource", "request", "cause"),
        *("actor", "reason", "leftOut", "refused", "callers", "most"),
        description="An event, an entry of the audit stream, or the refused requests of callers "
        "that the tenant does not know, counted for one hour (`unknown-callers`).",
    ),
    "UnknownCaller": record(
        {
            "actor": ref("HistoryActor"),
            "refused": _COUNT,
            "leftOut": _LEFT_OUT,
            "last": DATE_TIME,
            "verbs": {"type": "array", "items": {"type": "string"}},
            "kinds": {"type": "array", "items": {"type": "string"}},
        },
        *("leftOut", "verbs", "kinds"),
    ),
    "ActivityIterator": record(
        {
            "items": {"type": "array", "items": ref("ActivityItem")},
            "metadata": ref("ResponseMetadata"),
        }
    ),
    "HistoryActor": record(
        {each: {"type": "string"} for each in _TEXTS}
        | {"groups": {"type": "array", "items": {"type": "string"}}},
        *_TEXTS[1:],
        "groups",
        description="The caller as it was recorded, and the assignment that allowed it then.",
    ),
    "HistoryEntry": record(
        _EVENT
        | {
            "type": {"type": "string"},
            "state": ref("ResourceState"),
            "cause": _POSITION,
            "changed": {"type": "array", "maxItems": 64, "items": _POINTER},
            "changedMore": {"type": "boolean"},
        },
        "cause",
        "changedMore",
    ),
    "HistoryIterator": record(
        {
            "items": {"type": "array", "items": ref("HistoryEntry")},
            "metadata": ref("ResponseMetadata"),
        }
    ),
    "HistoryState": record(_STATE),
    "ExportIterator": record(
        {
            "items": {"type": "array", "items": ref("ExportOffer")},
            "metadata": ref("ResponseMetadata"),
        }
    ),
    "ExportOffer": record(
        {
            "name": {"type": "string"},
            "position": _POSITION,
            "time": DATE_TIME,
            "streams": {
                "type": "object",
                "description": "By stream: events of all tenants up to which it is complete.",
                "additionalProperties": {"type": "integer", "format": "int64"},
            },
        }
    ),
    "HistoryDifference": record(
        {
            "from": ref("HistoryState"),
            "to": ref("HistoryState"),
            "patch": {
                "type": "array",
                "items": record(
                    {
                        "op": {"type": "string", "enum": ["add", "remove", "replace"]},
                        "path": {"type": "string"},
                        "value": {},
                    },
                    "value",
                ),
            },
        }
    ),
    "HistoryBlame": record(
        {
            "of": ref("HistoryState"),
            "fields": {
                "type": "array",
                "items": record(
                    _EVENT
                    | {
                        "pointer": {"type": "string"},
                        "orBefore": {
                            "type": "boolean",
                            "description": "The oldest event that was looked at.",
                        },
                    },
                    "orBefore",
                ),
            },
            "fieldsMore": {"type": "boolean", "description": "There are more than these."},
        },
        "fieldsMore",
    ),
}
