"""Operations of a kind in OpenAPI: ids, parameters and answers of the standard's five classes
(SECA: HTTP rules)."""

import re
from collections.abc import Iterator, Mapping

from secaplane.edge.documents.openapi.envelope import ref
from secaplane.edge.documents.openapi.schemas import name
from secaplane.edge.problem import MEDIA_TYPE
from secaplane.edge.problem_table import PROBLEMS, SLUGS
from secaplane.edge.requests.paths import REVIEWS
from secaplane.kinds import KINDS
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Json
from secaplane.readmodel.activity_rows import OUTCOMES, VERBS

JSON = "application/json"
NAMES = {"get": "Get", "put": "CreateOrUpdate", "delete": "Delete"}
CODES: Mapping[str, tuple[int, ...]] = {
    "list": (400, 401, 403, 500),
    "get": (400, 401, 403, 404, 500),
    "put": (400, 401, 403, 404, 409, 412, 422, 500),
    "delete": (400, 401, 403, 404, 409, 412, 500),
    "post": (400, 401, 403, 404, 409, 412, 500),
    "undo": (400, 401, 403, 404, 409, 412, 422, 500),
    "review": (400, 401, 403, 422, 500),
}
"""Error codes that the standard gives for each class; `default` covers all others. A review is an
operation of Secaplane's own."""
DEFAULT = (
    "General HTTP answers: 304 (without a body, to If-None-Match), 405, 406, 413, 415, "
    "429 and 503 (with Retry-After)."
)
ACCEPT = [JSON, f"{JSON}; deleted=true", f"{JSON}; deleted=only"]
LIST_PARAMETERS: list[Json] = [
    {"name": "labels", "in": "query", "required": False, "schema": {"type": "string"}},
    {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000},
    },
    {"name": "skipToken", "in": "query", "required": False, "schema": {"type": "string"}},
    {
        "name": "Accept",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "default": JSON, "enum": ACCEPT},
    },
]
ACTIVITY_FILTERS: list[Json] = [
    {"name": each, "in": "query", "required": False, "schema": {"type": "string", **more}}
    for each, more in (
        ("actor", {"description": "A sub, or the pseudonym of an unknown caller."}),
        ("verb", {"enum": [*VERBS]}),
        ("kind", {}),
        ("outcome", {"enum": [*OUTCOMES]}),
        ("problem", {"enum": [*SLUGS], "description": "Of refusals: the type of the problem."}),
        ("from", {"format": "date-time"}),
        ("to", {"format": "date-time"}),
    )
]
PRECONDITION: Json = {
    "name": "if-unmodified-since",
    "in": "header",
    "required": False,
    "schema": {"type": "integer"},
    "description": "Expected metadata.resourceVersion; 0 in a PUT: the resource must not exist.",
}


def _tags(name: str, description: str) -> Json:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": schema,
        "description": description,
    }


WRITE_TAGS = [
    _tags(
        "If-Match",
        "`*`: the resource must exist. Entity tags: one must be a strong ETag of a GET, of the "
        "present version and life; the status may have changed since. 412 otherwise.",
    ),
    _tags(
        "If-None-Match",
        "`*`: the resource must not exist. Entity tags: none may be of the present version. 412 "
        "otherwise.",
    ),
]
"""Headers of HTTP that the standard's files do not list; all preconditions sent must hold."""
READ_TAGS = [_tags("If-None-Match", "ETags of earlier answers: 304 if the answer is one of them.")]
AS_OF: Json = {
    "name": "asOf",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "A time (RFC 3339) or a position such as `SECA:73`: the answer of then, in the "
    "present lives of the resource and of what contains it, by today's rights; 404 if it did not "
    'exist then. Secret fields are `"<secret>"`.',
}
REVIEW_AS_OF: Json = AS_OF | {
    "description": "A time (RFC 3339) or a position such as `SECA:73`: the answer by the roles and "
    "role assignments of then, in their present lives. Who may ask is judged by those of today.",
}
HEADERS: Json = {
    "ETag": {
        "description": "For If-None-Match, and that of one resource for If-Match: "
        '`"<resourceVersion>-<8 of uid>.<digest of the answer>"`.',
        "schema": {"type": "string"},
    },
    "Location": {"description": "URL of the resource.", "schema": {"type": "string"}},
    "Secaplane-Position": {
        "description": "For Secaplane-At-Least in a GET whose answer must include this write.",
        "schema": {"type": "string"},
    },
}


def paths(kind: Kind, *, unique: bool) -> Iterator[tuple[str, Json]]:
    """The kind's paths. Operations on a former collection repeat the ids of the current one, as in
    the standard's two versions; with `unique`, they have ids of their own."""
    for url in kind.urls:
        former = url != kind.url
        suffix = _below(kind, url) if former and unique else ""
        for path, verb, method, action in _operations(kind, url):
            operation = _operation(kind, path, verb, action)
            operation["operationId"] += suffix
            yield path, {method: operation | ({"deprecated": True} if former else {})}


def operation_id(kind: Kind, verb: str, action: str = "") -> str:
    if verb == "list":
        return f"List{kind.title}s"
    return f"{NAMES.get(verb) or action.capitalize()}{kind.title}"


def _below(kind: Kind, url: str) -> str:
    *_, inner = (each for each in re.findall(r"{(\w+)}", url) if each not in kind.scope)
    return f"In{inner.capitalize()}"


def _operations(kind: Kind, url: str) -> Iterator[tuple[str, str, str, str]]:
    """(path, class, method, action) of each operation."""
    yield url, "list", "get", ""
    item = f"{url}/{{name}}"
    for verb in kind.verbs:
        yield item, verb, verb, ""
    for action in kind.actions:
        yield f"{item}/{action}", "post", "post", action


def _operation(kind: Kind, path: str, verb: str, action: str) -> Json:
    operation: Json = {
        "operationId": operation_id(kind, verb, action),
        "tags": [kind.provider.name],
        "parameters": [*path_parameters(path), *_parameters(kind, verb)],
        "responses": _responses(kind, verb),
    }
    if verb == "put":
        operation["requestBody"] = {"required": True, "content": _content(f"{name(kind)}Request")}
    return operation


def path_parameters(path: str) -> list[Json]:
    return [
        {"name": each, "in": "path", "required": True, "schema": {"type": "string"}}
        for each in re.findall(r"{(\w+)}", path)
    ]


def _parameters(kind: Kind, verb: str) -> list[Json]:
    if kind.backing is Backing.VIEW:
        filters = [*LIST_PARAMETERS, *ACTIVITY_FILTERS] if verb == "list" else []
        return [*filters, *READ_TAGS]
    reads = {"list": [*LIST_PARAMETERS, *READ_TAGS], "get": [AS_OF, *READ_TAGS]}
    return reads.get(verb, [PRECONDITION, *WRITE_TAGS])


def _responses(kind: Kind, verb: str) -> Json:
    own = name(kind)
    match verb:
        case "list":
            shown = {"200": answer("A page.", "ETag", content=f"{own}Iterator")}
        case "get":
            shown = {"200": answer("The resource.", "ETag", content=own)}
        case "put":
            position = "Secaplane-Position"
            shown = {
                "200": answer("Updated.", position, content=own),
                "201": answer("Created.", "Location", position, content=own),
            }
        case _:
            shown = {"202": answer("Accepted.", "Secaplane-Position")}
    return shown | refusals(verb)


def refusals(verb: str) -> Json:
    shown = {str(code): {"$ref": f"#/components/responses/Error{code}"} for code in CODES[verb]}
    return shown | {"default": {"$ref": "#/components/responses/Other"}}


def answer(description: str, *headers: str, content: str = "") -> Json:
    shown: Json = {
        "description": description,
        "headers": {each: {"$ref": f"#/components/headers/{each}"} for each in headers},
    }
    return shown | ({"content": _content(content)} if content else {})


def error_responses() -> Json:
    problem = {MEDIA_TYPE: {"schema": ref("Error")}}
    titles = {status: title for status, _, title in PROBLEMS.values()}
    titles[500] = "Internal Server Error"
    codes = sorted({code for codes in CODES.values() for code in codes})
    return {
        **{f"Error{code}": {"description": titles[code], "content": problem} for code in codes},
        "Other": {"description": DEFAULT, "content": problem},
    }


def _content(component: str) -> Json:
    return {JSON: {"schema": ref(component)}}


WELLKNOWN: Json = {
    "operationId": "getWellknown",
    "tags": ["Wellknown"],
    "summary": "The global providers; also at /.well-known/secapi.",
    "parameters": [],
    "security": [],
    "responses": {
        "200": {"description": "The global providers.", "content": _content("Wellknown")},
        "500": {"$ref": "#/components/responses/Error500"},
    },
}


def review() -> Json:
    return {
        "operationId": "ReviewAccess",
        "tags": [KINDS["tenant"].provider.name],
        "summary": "Access review: whether a caller is allowed, and why; or all allowed callers.",
        "description": "Nothing is recorded. The path is that of a URL of the API; for an action, "
        "its own or its resource's. Without a caller, the answer lists all allowed callers.",
        "parameters": [*path_parameters(REVIEWS), REVIEW_AS_OF],
        "requestBody": {"required": True, "content": _content("AccessReviewRequest")},
        "responses": {"200": answer("The answer.", content="AccessReview")} | refusals("review"),
    }
