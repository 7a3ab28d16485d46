"""Bodies made from a kind's JSON Schema: the smallest that is allowed, and those at every limit."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from model.kind import Kind
from model.pointer import spelled
from model.shape import Json

TEXTS = ("a", "get", "*")
Path = tuple[str | int, ...]


class Edge(NamedTuple):
    """One limit: a spec that just keeps it, and one that just breaks it."""

    pointer: str
    rule: str
    kept: Any
    broken: Any


class Schema:
    """A kind's spec, or status, as msgspec describes it."""

    def __init__(self, type_: Any) -> None:
        self._whole = msgspec.json.schema(type_)

    def smallest(self) -> Any:
        return self._smallest(self._whole)

    def whole(self) -> Any:
        """With every field that may be there."""
        return self._filled(self._whole)

    def edges(self) -> Iterator[Edge]:
        for path, schema in self._places(self._whole, ()):
            for rule, kept, broken in self._limits(schema):
                yield Edge(spelled(path), rule, self._with(path, kept), self._with(path, broken))

    def required(self) -> list[str]:
        return list(self._resolved(self._whole).get("required", ()))

    def has(self, pointer: str) -> bool:
        """Whether the schema has a field there."""
        return any(spelled(path) == pointer for path, _ in self._places(self._whole, ()))

    def _resolved(self, schema: Json) -> Json:
        name = schema.get("$ref", "").rpartition("/")[2]
        return self._whole["$defs"][name] if name else schema

    def _smallest(self, schema: Json) -> Any:
        return self._made(schema, lambda found: found.get("required", ()))

    def _filled(self, schema: Json) -> Any:
        return self._made(schema, lambda found: found.get("properties", ()), many=1)

    def _made(self, schema: Json, fields: Any, many: int = 0) -> Any:
        found = self._resolved(schema)
        if "enum" in found:
            return found["enum"][0]
        match found.get("type"):
            case "object":
                properties = found.get("properties", {})
                return {name: self._made(properties[name], fields, many) for name in fields(found)}
            case "array":
                length = max(many, found.get("minItems", 0))
                return [self._made(found["items"], fields, many)] * length
            case "integer":
                return found.get("minimum", 1)
            case "string":
                return _text(found, max(1, found.get("minLength", 0)))
            case other:
                raise AssertionError(f"no rule how to make a {other}: {found}")

    def _places(self, schema: Json, path: Path) -> Iterator[tuple[Path, Json]]:
        found = self._resolved(schema)
        yield path, found
        for name, inner in found.get("properties", {}).items():
            yield from self._places(inner, (*path, name))
        if found.get("type") == "array":
            yield from self._places(found["items"], (*path, 0))

    def _limits(self, found: Json) -> Iterator[tuple[str, Any, Any]]:
        if "minimum" in found:
            yield "minimum", found["minimum"], found["minimum"] - 1
        if "maximum" in found:
            yield "maximum", found["maximum"], found["maximum"] + 1
        if found.get("minLength"):
            yield "minLength", _text(found, found["minLength"]), ""
        if "maxLength" in found and "pattern" not in found:
            longest = found["maxLength"]
            yield "maxLength", _text(found, longest), _text(found, longest + 1)
        if found.get("minItems") or "maxItems" in found:
            one = self._smallest(found["items"])
            least, most = found.get("minItems", 0), found.get("maxItems")
            if least:
                yield "minItems", [one] * least, [one] * (least - 1)
            if most is not None:
                yield "maxItems", [one] * most, [one] * (most + 1)
        if "enum" in found:
            yield from (("enum", each, f"{each}?") for each in found["enum"])

    def _with(self, path: Path, value: Any) -> Any:
        """The whole spec with that value at that place."""
        return _put(self.whole(), path, value)


def _put(whole: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    if isinstance(whole, list):
        return [_put(whole[0], tuple(rest), value)]
    return whole | {first: _put(whole[first], tuple(rest), value)}


def _text(found: Json, length: int) -> str:
    pattern = found.get("pattern")
    if pattern is None:
        return "x" * length
    return next(text for text in TEXTS if re.search(pattern, text))


def body(kind: Kind) -> Json:
    return {"spec": Schema(kind.spec).smallest()}
