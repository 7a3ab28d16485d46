"""null in a body: for a field it means that the field is absent; as a value of a map, or an item of
a list, it stays and is refused. Pure."""

from functools import lru_cache
from typing import Any

import msgspec

from secaplane.model.shape import Json


def without_nulls(shape: Any, sent: Any) -> Any:
    """A copy of a body without the fields of `shape` that are null; the body itself if it has none.

    Each value of a list or an object of the schema is visited once. A list that is longer than its
    schema allows stays as it is: it is refused anyway.
    """
    root, definitions = _schemas(shape)
    return _without(sent, root, definitions)


@lru_cache(maxsize=64)
def _schemas(shape: Any) -> tuple[Json, Json]:
    whole = msgspec.json.schema(shape)
    return whole, whole.get("$defs", {})


def _without(value: Any, schema: Json, definitions: Json) -> Any:
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = definitions[name] if name else schema
    if isinstance(value, dict) and (fields := schema.get("properties")):
        kept = {
            key: _without(each, fields[key], definitions) if key in fields else each
            for key, each in value.items()
            if each is not None or key not in fields
        }
        return value if _same(kept, value) else kept
    if isinstance(value, list) and _holds_fields(schema, len(value)):
        items = [_without(each, schema["items"], definitions) for each in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _holds_fields(schema: Json, length: int) -> bool:
    """True for a list of that length whose items may have fields."""
    items = schema.get("items")
    if not isinstance(items, dict) or items.keys().isdisjoint(("$ref", "properties", "items")):
        return False
    return length <= int(schema.get("maxItems", length))


def _same(kept: Json, value: Json) -> bool:
    return len(kept) == len(value) and all(kept[key] is each for key, each in value.items())
