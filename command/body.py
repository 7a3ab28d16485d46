"""The body of a PUT: a whole resource, of which only the caller's parts are used.

A valid body is decoded by msgspec alone. When msgspec refuses, a JSON Schema library checks the
body against the schema of the same types, and lists every broken rule at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.command.nulls import without_nulls
from secaplane.command.rules.empty_lists import broken_empty_lists
from secaplane.command.rules.labels import broken_label_keys
from secaplane.command.rules.references import broken_number_of_references
from secaplane.kinds import KINDS
from secaplane.model.address import FORMATS
from secaplane.model.document import encode
from secaplane.model.errors import BrokenRule, Malformed, refuse_broken
from secaplane.model.kind import Kind
from secaplane.model.pointer import at, every, pointer_to
from secaplane.model.shape import Annotations, Extensions, Json, Labels, Wire

PARTS_MAX = 64
KEY_LENGTH_MAX = 128
BROKEN_MAX = 100
ITEMS_MAX = 1_001
"""One more than the longest list that any kind allows."""
LISTED_MAX = 5_000
"""Values in a body. For a larger one only the first broken rule is listed: the library takes more
than 0.01 ms for each value."""
MESSAGE_LENGTH_MAX = 300

T = TypeVar("T")
Key = Annotated[str, Meta(max_length=KEY_LENGTH_MAX)]


_plain = msgspec.json.Decoder(Json).decode


class PutBody(Wire, frozen=True):
    """The desired state: the parts of a resource that a caller may write."""

    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class BodyReader:
    """Reads bodies for one region; `extensions` are the keys of the extensions that it supports."""

    def __init__(self, *, region: str, extensions: Iterable[str] = ()) -> None:
        self._region, self._extensions = region, frozenset(extensions)

    def read(self, kind: Kind, sent: Any, broken: Sequence[BrokenRule] = ()) -> PutBody:
        """The caller's parts of a body, with the defaults of the schema; `broken` are rules that
        the request breaks outside its body, and are refused together with those of the body.

        Raises:
            Malformed: not an object, or more parts than are allowed.
            Invalid: with a pointer for every broken rule.
        """
        if not isinstance(sent, dict):
            raise Malformed("the body must be a JSON object: a resource with its spec")
        _refuse_oversized(sent)
        broken = [*broken, *self._unsupported(kind, sent)]
        parts: Json = {
            key: value for key, value in sent.items() if key not in ("metadata", "status")
        }
        if kind.rules.optional and parts.get("spec") is None:
            parts["spec"] = {}
        body = _converted(_body(kind.name), parts, broken)
        broken += broken_label_keys(body.labels or ())
        spec = _without_empty(kind, _plain(encode(body.spec)))
        refuse_broken(
            [
                *broken,
                *(
                    BrokenRule(f"takes {_FORMAT_NAMES[name]}", f"/spec{pointer}")
                    for place, name in _formats(kind.name)
                    for pointer, text in every(spec, place)
                    if not FORMATS[name](text)
                ),
                *broken_empty_lists(kind, spec),
                *broken_number_of_references(kind, spec),
            ]
        )
        return PutBody(
            spec=spec,
            labels=body.labels,
            annotations=body.annotations,
            extensions=body.extensions,
        )

    def _unsupported(self, kind: Kind, sent: Json) -> list[BrokenRule]:
        """Unknown extensions, and resources of another region."""
        broken = []
        extensions = sent.get("extensions")
        if isinstance(extensions, dict):
            broken += [
                BrokenRule("is not an extension of this provider", pointer_to(("extensions", key)))
                for key in extensions
                if key not in self._extensions
            ]
        region = at(sent, "/metadata/region")
        if kind.provider.regional and region and region != self._region:
            broken.append(
                BrokenRule(f"this API serves the region {self._region}", "/metadata/region")
            )
        return broken


def read_as(shape: type[T], sent: Any) -> T:
    """A body that is not a resource.

    Raises:
        Malformed: not an object.
        Invalid: with a pointer for every broken rule.
    """
    if not isinstance(sent, dict):
        raise Malformed("the body must be a JSON object")
    return _converted(shape, sent)


def _converted(shape: type[T], sent: Json, broken: Sequence[BrokenRule] = ()) -> T:
    try:
        return msgspec.convert(sent, shape)
    except msgspec.ValidationError as error:
        present = without_nulls(shape, sent)
        if present is not sent:
            return _converted(shape, present, broken)
        refuse_broken([*broken, *_every_broken_rule(shape, sent, error)])
        raise AssertionError("msgspec refused, and no rule is broken") from error


def _without_empty(kind: Kind, spec: Json) -> Json:
    """The spec without the empty lists that mean the same as an absent field."""
    for field in kind.rules.empty_is_absent:
        if spec.get(field) == []:
            del spec[field]
    return spec


@cache
def _body(kind_name: str) -> Any:
    """The type of the whole body of a kind."""
    return msgspec.defstruct(
        f"{KINDS[kind_name].title}Body",
        [
            ("spec", KINDS[kind_name].spec),
            ("labels", Labels | UnsetType, UNSET),
            ("annotations", Annotations | UnsetType, UNSET),
            ("extensions", Extensions | UnsetType, UNSET),
        ],
        bases=(Wire,),
        kw_only=True,
        frozen=True,
    )


@cache
def _formats(kind_name: str) -> tuple[tuple[str, str], ...]:
    """(place below the spec, format) of every text whose format the schema names."""
    root = msgspec.json.schema(KINDS[kind_name].spec)

    def formats(schema: Json, place: str) -> Iterator[tuple[str, str]]:
        name = schema.get("$ref", "").rpartition("/")[2]
        resolved = root["$defs"][name] if name else schema
        if resolved.get("format") in FORMATS:
            yield place, resolved["format"]
        for key, inner in resolved.get("properties", {}).items():
            yield from formats(inner, f"{place}/{key}")
        if isinstance(resolved.get("items"), dict):
            yield from formats(resolved["items"], f"{place}/*")

    return tuple(formats(root, ""))


_FORMAT_NAMES = {
    "ipv4-cidr": "an IPv4 range such as 10.0.0.0/16",
    "ipv6-cidr": "an IPv6 range such as fd00::/56",
    "cidr": "a range such as 10.0.0.0/16 or fd00::/56",
    "ip": "an IP address",
    "ip-or-empty": "an IP address, or empty",
    "ip-or-cidr": "an IP address, or a range such as 10.0.0.0/16",
    "date-time": "a time such as 2026-01-31T12:00:00Z",
}


def _refuse_oversized(sent: Json) -> None:
    broken = []
    for part in ("labels", "annotations", "extensions"):
        value = sent.get(part)
        if not isinstance(value, dict):
            continue
        if len(value) > PARTS_MAX:
            broken.append((f"at most {PARTS_MAX} {part}", f"/{part}"))
        broken += [
            (f"a key has at most {KEY_LENGTH_MAX} characters", f"/{part}")
            for key in value
            if len(key) > KEY_LENGTH_MAX
        ]
    if broken:
        detail, pointer = broken[0]
        raise Malformed(f"{pointer}: {detail}", pointer=pointer)


@lru_cache(maxsize=64)
def _validator(shape: Any) -> Any:
    """The import waits for the first refusal: the library needs memory."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(formats=())
    for name, is_valid in FORMATS.items():
        formats.checks(name)(_of_text(is_valid))
    schema = msgspec.json.schema(shape)
    return Draft202012Validator(schema, format_checker=formats)


def _of_text(is_valid: Callable[[str], bool]) -> Callable[[object], bool]:
    """A value that is not text breaks another rule, not this one."""
    return lambda value: not isinstance(value, str) or is_valid(value)


def _every_broken_rule(shape: Any, sent: Json, error: msgspec.ValidationError) -> list[BrokenRule]:
    broken = list(islice(_distinct(_listed(_errors(shape, sent))), BROKEN_MAX))
    if not broken:  # the library accepts what msgspec refuses: msgspec's message is used
        message, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
        broken = [BrokenRule(message, pointer)]
    return broken


def _errors(shape: Any, sent: Json) -> Iterable[Any]:
    """The errors that the library finds, lazily. Lists are cut, so that a very long one costs no
    time. A body that is still very large is not listed at all: msgspec's first error is used."""
    return _validator(shape).iter_errors(_cut(sent)) if _listable(sent) else ()


def _listable(sent: Json) -> bool:
    """True for at most LISTED_MAX values, of which long lists count as ITEMS_MAX; stops there."""
    waiting: list[Any] = [sent]
    values = 0
    while waiting and values <= LISTED_MAX:
        each = waiting.pop()
        if isinstance(each, dict):
            values += len(each)
            waiting += each.values() if values <= LISTED_MAX else ()
        elif isinstance(each, list):
            values += len(each[:ITEMS_MAX])
            waiting += each[:ITEMS_MAX] if values <= LISTED_MAX else ()
    return values <= LISTED_MAX


def _cut(value: Any) -> Any:
    """The value with every list cut to ITEMS_MAX."""
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut(each) for each in value[:ITEMS_MAX]]
    return value


def _distinct(broken: Iterable[BrokenRule]) -> Iterator[BrokenRule]:
    seen = set[BrokenRule]()
    for each in broken:
        if each not in seen:
            seen.add(each)
            yield each


def _listed(errors: Iterable[Any]) -> Iterator[BrokenRule]:
    """Each error with its pointer; for alternatives, the error of the alternative that matches
    deepest."""
    for error in errors:
        path = list(error.absolute_path)
        if error.validator in ("anyOf", "oneOf") and error.context:
            deepest = max(error.context, key=lambda inner: len(inner.absolute_path))
            yield from _listed([deepest])
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            yield from (BrokenRule("is required", pointer_to([*path, key])) for key in missing)
        elif error.validator == "additionalProperties" and isinstance(error.validator_value, bool):
            known = error.schema.get("properties", {})
            unknown = [key for key in error.instance if key not in known]
            yield from (BrokenRule("is unknown", pointer_to([*path, key])) for key in unknown)
        else:
            yield BrokenRule(_message(error), pointer_to(path))


def _message(error: Any) -> str:
    """A message without the value that was sent, which may be long, or secret; the library's own
    messages repeat it."""
    rule, limit = error.validator, error.validator_value
    messages = {
        "minLength": f"takes at least {_counted(limit, 'character')}",
        "maxLength": f"takes at most {_counted(limit, 'character')}",
        "minItems": f"takes at least {_counted(limit, 'item')}",
        "maxItems": f"takes at most {_counted(limit, 'item')}",
        "minimum": f"takes {limit} or more",
        "maximum": f"takes {limit} or less",
        "type": f"takes a value of type {limit}",
        "enum": f"takes one of {limit}",
        "const": f"takes {limit}",
        "pattern": f"takes text that matches {limit}",
        "format": f"takes {_FORMAT_NAMES.get(str(limit), limit)}",
    }
    return str(messages.get(rule, f"breaks the rule {rule} {limit}"))[:MESSAGE_LENGTH_MAX]


def _counted(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
