"""The difference between two JSON values as a JSON Patch (RFC 6902), and as JSON pointers. Pure."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from secaplane.model.shape import Json


def patch(old: Any, new: Any, pointer: str = "") -> Iterator[Json]:
    """The operations that make the new value of the old one, in the order in which they apply. Of
    two lists, what they have in common at both ends stays."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_objects(old, new, pointer)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        yield from _of_lists(old, new, pointer)
    else:
        yield from _replaced(old, new, pointer)


def bounded_patch(old: Json, new: Json, most: int) -> Sequence[Json]:
    """At most so many operations; where there were more, each member of the outer objects that
    differs is replaced whole."""
    found = list(islice(patch(old, new), most + 1))
    return found if len(found) <= most else list(_of_objects(old, new, "", _replaced))


def pointers(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of a value that has no parts itself, by its pointer: (pointer, value)."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from pointers(inner, f"{pointer}/{escaped(key)}")
    elif isinstance(value, list | tuple) and value:
        for n, inner in enumerate(value):
            yield from pointers(inner, f"{pointer}/{n}")
    else:
        yield pointer, value


def escaped(key: str) -> str:
    """A key as one step of a pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _replaced(old: Any, new: Any, pointer: str) -> Iterator[Json]:
    if not _same(old, new):
        yield {"op": "replace", "path": pointer, "value": new}


def _of_objects(
    old: Json, new: Json, pointer: str, of_values: Callable[..., Iterator[Json]] = patch
) -> Iterator[Json]:
    for key in old:
        if key not in new:
            yield {"op": "remove", "path": f"{pointer}/{escaped(key)}"}
    for key, value in new.items():
        path = f"{pointer}/{escaped(key)}"
        if key in old:
            yield from of_values(old[key], value, path)
        else:
            yield {"op": "add", "path": path, "value": value}


def _of_lists(old: Sequence[Any], new: Sequence[Any], pointer: str) -> Iterator[Json]:
    shorter = min(len(old), len(new))
    begin = next((n for n in range(shorter) if not _same(old[n], new[n])), shorter)
    end = next(
        (n for n in range(shorter - begin) if not _same(old[-1 - n], new[-1 - n])), shorter - begin
    )
    gone, added = old[begin : len(old) - end], new[begin : len(new) - end]
    both = min(len(gone), len(added))
    for n in range(both):
        yield from patch(gone[n], added[n], f"{pointer}/{begin + n}")
    for n in reversed(range(both, len(gone))):
        yield {"op": "remove", "path": f"{pointer}/{begin + n}"}
    for n in range(both, len(added)):
        yield {"op": "add", "path": f"{pointer}/{begin + n}", "value": added[n]}


def _same(one: Any, other: Any) -> bool:
    """Equal, and no number is taken for a truth value. Linear."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)
