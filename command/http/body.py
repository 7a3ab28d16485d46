"""The body of a PUT: a whole resource, of which the caller's parts are taken.

The good case is decoded by msgspec at full speed. When it refuses, the JSON Schema made from the
same types goes to a JSON Schema library, which lists every broken rule of the body at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

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
LISTED_MAX = 10_000
"""Values in a body of which every broken rule is named; of a larger one, the first."""
MESSAGE_LENGTH_MAX = 300

T = TypeVar("T")
Key = Annotated[str, Meta(max_length=KEY_LENGTH_MAX)]


_plain = msgspec.json.Decoder(Json).decode


class PutBody(Wire, frozen=True):
    """What a caller wishes: the parts of a resource that are the caller's to write."""

    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class BodyReader:
    """Reads bodies for one region; `extensions` are the keys of extensions that it understands."""

    def __init__(self, *, region: str, extensions: Iterable[str] = ()) -> None:
        self._region, self._extensions = region, frozenset(extensions)

    def read(self, kind: Kind, sent: Any, broken: Sequence[BrokenRule] = ()) -> PutBody:
        """The caller's parts of a body, the defaults that the schema states filled in; `broken` is
        what is wrong with the request besides, and is said in the same breath.

        Raises:
            Malformed: no object, or more parts than anybody may send.
            Invalid: with a pointer for every rule that it breaks.
        """
        if not isinstance(sent, dict):
            raise Malformed("the body is a JSON object: a resource with its spec")
        _refuse_crowds(sent)
        broken = [*broken, *self._foreign(kind, sent)]
        mine = {key: value for key, value in sent.items() if key not in ("metadata", "status")}
        if kind.rules.optional and mine.get("spec") is None:
            mine["spec"] = {}
        found = _converted(_body(kind.name), mine, broken)
        spec = _plain(encode(found.spec))
        refuse_broken(
            [
                *broken,
                *(
                    BrokenRule(f"takes {_SPOKEN[name]}", f"/spec{pointer}")
                    for place, name in _formats(kind.name)
                    for pointer, text in every(spec, place)
                    if not FORMATS[name](text)
                ),
            ]
        )
        return PutBody(
            spec=spec,
            labels=found.labels,
            annotations=found.annotations,
            extensions=found.extensions,
        )

    def _foreign(self, kind: Kind, sent: Json) -> list[BrokenRule]:
        """What another house would take: extensions we do not know, another region's resources."""
        broken = []
        extensions = sent.get("extensions")
        if isinstance(extensions, dict):
            broken += [
                BrokenRule(
                    "is no extension that this provider knows", pointer_to(("extensions", key))
                )
                for key in extensions
                if key not in self._extensions
            ]
        region = at(sent, "/metadata/region")
        if kind.provider.regional and region and region != self._region:
            broken.append(BrokenRule(f"this is region {self._region}", "/metadata/region"))
        return broken


def read_as(shape: type[T], sent: Any) -> T:
    """A body that is no resource.

    Raises:
        Malformed: no object.
        Invalid: with a pointer for every rule that it breaks.
    """
    if not isinstance(sent, dict):
        raise Malformed("the body is a JSON object")
    return _converted(shape, sent)


def _converted(shape: type[T], sent: Json, broken: Sequence[BrokenRule] = ()) -> T:
    try:
        return msgspec.convert(sent, shape)
    except msgspec.ValidationError as error:
        refuse_broken([*broken, *_every_broken_rule(shape, sent, error)])
        raise AssertionError("a broken rule refuses") from error


@cache
def _body(kind_name: str) -> Any:
    """The type of a kind's whole body."""
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
    """(place below the spec, format) of every text that the schema asks more of than length."""
    whole = msgspec.json.schema(KINDS[kind_name].spec)

    def found(schema: Json, place: str) -> Iterator[tuple[str, str]]:
        name = schema.get("$ref", "").rpartition("/")[2]
        here = whole["$defs"][name] if name else schema
        if here.get("format") in FORMATS:
            yield place, here["format"]
        for key, inner in here.get("properties", {}).items():
            yield from found(inner, f"{place}/{key}")
        if isinstance(here.get("items"), dict):
            yield from found(here["items"], f"{place}/*")

    return tuple(found(whole, ""))


_SPOKEN = {
    "ipv4-cidr": "an IPv4 range such as 10.0.0.0/16",
    "ipv6-cidr": "an IPv6 range such as fd00::/56",
    "cidr": "a range such as 10.0.0.0/16 or fd00::/56",
    "ip": "an IP address",
    "ip-or-empty": "an IP address, or nothing",
    "ip-or-cidr": "an IP address, or a range such as 10.0.0.0/16",
}


def _refuse_crowds(sent: Json) -> None:
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
    """Imported only when somebody is refused: it costs memory that a quiet process need not
    have."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(formats=())
    for name, keeps in FORMATS.items():
        formats.checks(name)(_of_text(keeps))
    schema = msgspec.json.schema(shape)
    return Draft202012Validator(schema, format_checker=formats)


def _of_text(keeps: Callable[[str], bool]) -> Callable[[object], bool]:
    """That a value is text at all is another rule's to say."""
    return lambda value: not isinstance(value, str) or keeps(value)


def _every_broken_rule(shape: Any, sent: Json, error: msgspec.ValidationError) -> list[BrokenRule]:
    broken = list(islice(_once(_listed(_errors(shape, sent))), BROKEN_MAX))
    if not broken:  # the two readers disagree, so the one that refused has the word
        message, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
        broken = [BrokenRule(message, pointer)]
    return broken


def _errors(shape: Any, sent: Json) -> Iterable[Any]:
    """What the library finds, one after the other. A list is cut where it breaks every limit: how
    long it is, nobody shall wait for. What is very large all the same is not listed at all: its
    first broken rule must do."""
    cut, size = _cut(sent)
    return _validator(shape).iter_errors(cut) if size <= LISTED_MAX else ()


def _cut(value: Any) -> tuple[Any, int]:
    """The value with no list longer than any that is allowed by more than one, and how many values
    are in it."""
    if isinstance(value, dict):
        inner = {key: _cut(each) for key, each in value.items()}
        return {key: each for key, (each, _) in inner.items()}, 1 + sum(
            n for _, n in inner.values()
        )
    if isinstance(value, list):
        items = [_cut(each) for each in value[:ITEMS_MAX]]
        return [each for each, _ in items], 1 + sum(n for _, n in items)
    return value, 1


def _once(found: Iterable[BrokenRule]) -> Iterator[BrokenRule]:
    seen = set[BrokenRule]()
    for each in found:
        if each not in seen:
            seen.add(each)
            yield each


def _listed(errors: Iterable[Any]) -> Iterator[BrokenRule]:
    """Each error where it lies; of alternatives, those of the one that comes nearest."""
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
            yield from (
                BrokenRule("is not known here", pointer_to([*path, key])) for key in unknown
            )
        else:
            yield BrokenRule(_worded(error), pointer_to(path))


def _worded(error: Any) -> str:
    """The library repeats the value that was sent, which may be long, or secret."""
    rule, limit = error.validator, error.validator_value
    words = {
        "minLength": f"takes at least {limit} characters",
        "maxLength": f"takes at most {limit} characters",
        "minItems": f"takes at least {limit} items",
        "maxItems": f"takes at most {limit} items",
        "minimum": f"takes {limit} or more",
        "maximum": f"takes {limit} or less",
        "type": f"takes a value of type {limit}",
        "enum": f"takes one of {limit}",
        "const": f"takes {limit}",
        "pattern": f"takes text of the form {limit}",
        "format": f"takes {_SPOKEN.get(str(limit), limit)}",
    }
    return str(words.get(rule, f"breaks the rule {rule} {limit}"))[:MESSAGE_LENGTH_MAX]
