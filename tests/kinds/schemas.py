"""Specs generated from a kind's JSON Schema: the smallest valid one, and one at every limit."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from secaplane.model.pointer import pointer_to
from secaplane.model.shape import Json

TEXTS = ("a", "get", "*")
Path = tuple[str | int, ...]
KEY = "key"
"""Key of the only entry of a generated map."""
FREE: Json = {"any": {"thing": [1, "two", None, {"three": 3.5}]}}
"""A value for an object without a schema."""


class Format(NamedTuple):
    """Valid texts of a format, from the shortest to the longest, and invalid ones."""

    kept: tuple[str, ...]
    broken: tuple[str, ...]


_LONG6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
_MAPPED = "::ffff:10.0.0.1"
_NO_IP = (
    "x",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "fe80::1%eth0",
    "1:2",
    " ::",
    "::\n",
    _MAPPED,
)
_NO_CIDR = (
    *("10.0.0.0", "::", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/255.0.0.0", "/8"),
    *(
        "10.0.0/24",
        "10.0.0.0/-1",
        "10.0.0.0/8 ",
        "fe80::%eth0/64",
        "10.0.0.0/8/8",
        f"{_MAPPED}/104",
    ),
)
FORMATS: Mapping[str, Format] = {
    "ipv4-cidr": Format(("0.0.0.0/0", "10.0.0.1/8", "192.168.100.128/32"), (*_NO_CIDR, "::/0")),
    "ipv6-cidr": Format(("::/0", "fd00::/56", f"{_LONG6}/128"), (*_NO_CIDR, "10.0.0.0/8")),
    "cidr": Format(("::/0", "0.0.0.0/0", f"{_LONG6}/128"), _NO_CIDR),
    "ip": Format(("::", "0.0.0.0", _LONG6), (*_NO_IP, "10.0.0.0/8")),
    "ip-or-empty": Format(("", "0.0.0.0", _LONG6), (*_NO_IP, "10.0.0.0/8")),
    "ip-or-cidr": Format(("::", "10.0.0.0/8", f"{_LONG6}/128"), (*_NO_IP, "10.0.0.0/33")),
    "date-time": Format(
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z"),
        ("", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"),
    ),
}


class Edge(NamedTuple):
    """One limit: a spec at the limit, and one just beyond it."""

    pointer: str
    rule: str
    kept: Any
    broken: Any


class Place(NamedTuple):
    """One place in a schema, and the schema there. Lists and maps have one entry each."""

    path: Path
    schema: Json
    title: str
    """Name of the struct at this place; empty for other types."""


class Schema:
    """A kind's spec, or status, as msgspec describes it."""

    def __init__(self, type_: Any) -> None:
        self._whole = msgspec.json.schema(type_)

    @property
    def free(self) -> bool:
        """The schema has no properties: any object is valid."""
        return "properties" not in self._resolved(self._whole)

    def smallest(self) -> Any:
        return self._made(self._whole, lambda found: found.get("required", ()))

    def whole(self) -> Any:
        """A spec with every field."""
        return self._made(self._whole, lambda found: found.get("properties", ()), many=1)

    def edges(self) -> Iterator[Edge]:
        for path, schema, _ in self.places():
            for rule, kept, broken in self._limits(schema):
                yield Edge(pointer_to(path), rule, self._with(path, kept), self._with(path, broken))

    def required(self) -> list[str]:
        return list(self._resolved(self._whole).get("required", ()))

    def has(self, pointer: str) -> bool:
        """True if the schema has a field there; all items of a list are alike."""
        expected = pointer.replace("/*", "/0")
        return any(pointer_to(place.path) == expected for place in self.places())

    def defaults(self) -> dict[str, Any]:
        """Pointer -> default value."""
        return {
            pointer_to(place.path).replace("/0", "/*"): place.schema["default"]
            for place in self.places()
            if "default" in place.schema
        }

    def completed(self, value: Any) -> Any:
        """The value with the defaults of the schema."""
        return self._completed(self._whole, value)

    def places(self) -> Iterator[Place]:
        yield from self._places(self._whole, ())

    def _resolved(self, schema: Json) -> Json:
        name = schema.get("$ref", "").rpartition("/")[2]
        found: Json = self._whole["$defs"][name] | {"title": name} if name else schema
        return found

    def _made(self, schema: Json, fields: Callable[[Json], Iterable[str]], many: int = 0) -> Any:
        found = self._resolved(schema)
        if "enum" in found:
            return found["enum"][0]
        match found.get("type"):
            case "object":
                properties = found.get("properties", {})
                made = {name: self._made(properties[name], fields, many) for name in fields(found)}
                if many and "properties" not in found:
                    values = found.get("additionalProperties")
                    made = {KEY: self._made(values, fields, many)} if values else FREE
                return made
            case "array":
                length = max(many, found.get("minItems", 0))
                return [self._made(found["items"], fields, many)] * length
            case "integer":
                return found.get("minimum", 1)
            case "boolean":
                return True
            case "string":
                return _text(found, max(1, found.get("minLength", 0)))
            case other:
                raise AssertionError(f"no generator for type {other}: {found}")

    def _places(self, schema: Json, path: Path) -> Iterator[Place]:
        found = self._resolved(schema)
        yield Place(path, found | schema, found.get("title", ""))
        for name, inner in found.get("properties", {}).items():
            yield from self._places(inner, (*path, name))
        if found.get("type") == "array":
            yield from self._places(found["items"], (*path, 0))
        if isinstance(values := found.get("additionalProperties"), dict):
            yield from self._places(values, (*path, KEY))

    def _limits(self, found: Json) -> Iterator[tuple[str, Any, Any]]:
        if "minimum" in found:
            yield "minimum", found["minimum"], found["minimum"] - 1
        if "maximum" in found:
            yield "maximum", found["maximum"], found["maximum"] + 1
        if found.get("type") == "string":
            yield from _text_limits(found)
        if found.get("minItems") or "maxItems" in found:
            one = self._made(found["items"], lambda inner: inner.get("required", ()))
            least, most = found.get("minItems", 0), found.get("maxItems")
            if least:
                yield "minItems", [one] * least, [one] * (least - 1)
            if most is not None:
                yield "maxItems", [one] * most, [one] * (most + 1)
        if "enum" in found:
            yield from (("enum", each, f"{each}?") for each in found["enum"])
        if found.get("type") == "boolean":
            yield from (("type", each, str(each)) for each in (True, False))

    def _completed(self, schema: Json, value: Any) -> Any:
        found = self._resolved(schema)
        if isinstance(value, list):
            return [self._completed(found["items"], each) for each in value]
        if not isinstance(value, dict) or "properties" not in found:
            return value
        fields = found["properties"]
        absent = {n: f["default"] for n, f in fields.items() if "default" in f and n not in value}
        return {n: self._completed(fields[n], each) for n, each in value.items()} | absent

    def _with(self, path: Path, value: Any) -> Any:
        """The whole spec with the value at the path."""
        return put(self.whole(), path, value)


def put(whole: Any, path: Path, value: Any) -> Any:
    """A copy with the value at the path; lists on the path keep only that item."""
    if not path:
        return value
    first, *rest = path
    if isinstance(whole, list):
        return [put(whole[0], tuple(rest), value)]
    return whole | {first: put(whole[first], tuple(rest), value)}


def _text_limits(found: Json) -> Iterator[tuple[str, Any, Any]]:
    least, most, form = found.get("minLength", 0), found.get("maxLength"), found.get("format")
    if form is not None:
        kept, broken = FORMATS[form]
        yield from (("format", each, broken[0]) for each in kept)
        yield from (("format", kept[0], each) for each in broken)
    if least:
        yield "minLength", _text(found, least), "x" * (least - 1)
    if most is not None and "pattern" not in found:
        yield "maxLength", _text(found, most), "x" * (most + 1)


def _text(found: Json, length: int) -> str:
    """A text of that length if the schema allows one; else the nearest one."""
    if "format" in found:
        kept = FORMATS[found["format"]].kept
        return max((each for each in kept if len(each) <= length), key=len, default=kept[0])
    pattern = found.get("pattern")
    if pattern is None:
        return "x" * length
    return next(text for text in TEXTS if re.search(pattern, text))
