"""The names of all fields that a resource can have, and JSON pointers made of them alone. Pure."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from msgspec import inspect

from secaplane.kinds import KINDS

ENVELOPE = frozenset({"metadata", "labels", "annotations", "extensions", "spec"})


def known_part(pointer: str) -> str:
    """The beginning of a JSON pointer whose steps are fields or indexes of lists. A step that the
    caller has chosen, such as the key of a label, ends it."""
    shown = list[str]()
    for step in pointer.split("/")[1:]:
        if step not in _field_names() and not (step.isascii() and step.isdigit()):
            break
        shown.append(f"/{step}")
    return "".join(shown)


@cache
def _field_names() -> frozenset[str]:
    specs = inspect.multi_type_info([kind.spec for kind in KINDS.values()])
    return ENVELOPE | frozenset(_names(specs, set()))


def _names(types: Iterable[Any], seen: set[type]) -> Iterator[str]:
    """Of the fields in some types, and in what they contain."""
    for each in types:
        match each:
            case inspect.StructType(cls=cls, fields=fields):
                if cls not in seen:
                    seen.add(cls)
                    yield from (field.encode_name for field in fields)
                    yield from _names([field.type for field in fields], seen)
            case inspect.ListType(item_type=inner) | inspect.DictType(value_type=inner):
                yield from _names([inner], seen)
            case inspect.VarTupleType(item_type=inner):
                yield from _names([inner], seen)
            case inspect.UnionType(types=inner_types):
                yield from _names(inner_types, seen)
