"""Components of an OpenAPI document: the spec and status of each kind, as msgspec describes them,
in the envelope that all resources share."""

from collections.abc import Iterable
from typing import Any

import msgspec

from secaplane.edge.documents.openapi.envelope import (
    USER_PARTS,
    components,
    labelled,
    metadata,
    record,
    ref,
)
from secaplane.model.kind import Kind
from secaplane.model.shape import Json, State, Status
from secaplane.policy.grants.review import AccessReview, AccessReviewRequest

PREFIX = "#/components/schemas/"
TEMPLATE = PREFIX + "{name}"
NAMES = {"State": "ResourceState", "Condition": "StatusCondition", "PartStatus": "Status"}
"""Structs whose schema has another name in the standard."""
OTHERS = (State, AccessReviewRequest, AccessReview)
"""Types that belong to no kind."""


def schemas(kinds: Iterable[Kind]) -> Json:
    """All components of these kinds, and those common to all documents."""
    kinds = list(kinds)
    types = [kind.spec for kind in kinds] + [kind.status for kind in kinds]
    written, named = msgspec.json.schema_components([*types, *OTHERS], ref_template=TEMPLATE)
    specs, statuses = written[: len(kinds)], written[len(kinds) : 2 * len(kinds)]
    named |= components()
    for kind, spec, status in zip(kinds, specs, statuses, strict=True):
        named |= _of(kind, spec, status, named)
    return {key: each for key, each in _renamed(named).items() if key not in NAMES}


def used(named: Json, *roots: Json) -> Json:
    """The components to which the roots refer, directly or through others."""
    reached = list(dict.fromkeys(each for root in roots for each in _references(root)))
    for each in reached:  # the list grows during the loop
        reached += [new for new in set(_references(named[each])) if new not in reached]
    return {key: named[key] for key in sorted(reached)}


def name(kind: Kind) -> str:
    """The schema's name in the standard. Titles repeat (`Sku` in four providers)."""
    if isinstance(kind.spec, type) and issubclass(kind.spec, msgspec.Struct):
        return kind.spec.__name__.removesuffix("Spec")
    return "".join(word.capitalize() for word in kind.name.split("-"))


def _of(kind: Kind, spec: Json, status: Json, named: Json) -> Json:
    own, (class_, class_schema) = name(kind), metadata(kind)
    parts = USER_PARTS if labelled(kind) else {}
    shown = {**parts, "metadata": ref(class_), "spec": spec}
    made = {
        class_: class_schema,
        f"{own}Iterator": record(
            {"items": {"type": "array", "items": ref(own)}, "metadata": ref("ResponseMetadata")}
        ),
    }
    if kind.writable:
        shown["status"] = ref(kind.status.__name__)
        made[kind.status.__name__] = _status(kind, status, named)
        made[f"{own}Request"] = _request(shown)
    return made | {own: record(shown, *USER_PARTS)}


def _request(shown: Json) -> Json:
    """A whole resource; the parts that the server writes are accepted and ignored, as in the
    standard."""
    ignored = {"readOnly": True, "description": "Written by the server, ignored in a request."}
    written = {part: shown[part] | ignored for part in ("metadata", "status")}
    return record(shown | written, *USER_PARTS, "metadata", "status", additionalProperties=False)


def _status(kind: Kind, status: Json, named: Json) -> Json:
    """The common fields of a status, then those of the kind."""
    common = components()["Status"]
    if kind.status is Status:
        return dict(common)
    own = named[status["$ref"].rpartition("/")[2]]
    required = [*common["required"], *own.get("required", ())]
    return {
        "type": "object",
        "properties": common["properties"] | own["properties"],
        "required": list(dict.fromkeys(required)),
    }


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: ref(NAMES.get(component := inner.rpartition("/")[2], component))["$ref"]
            if key == "$ref"
            else _renamed(inner)
            for key, inner in value.items()
        }
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if value.get("$ref", "").startswith(PREFIX):
            yield value["$ref"].removeprefix(PREFIX)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
