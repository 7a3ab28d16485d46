"""JSON pointers (RFC 6901) into plain values. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

LENGTH_MAX = 256
"""Characters of a pointer in an answer."""


def at(value: Any, pointer: str) -> Any:
    """The value that the pointer points at; None where there is none."""
    return reduce(
        lambda inner, step: inner.get(step) if isinstance(inner, dict) else None,
        pointer.split("/")[1:],
        value,
    )


def changed(value: Any, pointer: str, change: Callable[[str], str]) -> Any:
    """A copy with `change` applied to the string that the pointer points at; the value itself where
    there is none."""
    return _changed(value, pointer.split("/")[1:], change)


def without(value: Any, pointer: str) -> Any:
    """A copy without the list item that the pointer points at."""
    *steps, last = pointer.split("/")[1:]
    if not steps:
        return [each for n, each in enumerate(value) if n != int(last)]
    first, rest = steps[0], "/" + "/".join([*steps[1:], last])
    if isinstance(value, list):
        return [without(v, rest) if n == int(first) else v for n, v in enumerate(value)]
    return value | {first: without(value[first], rest)}


def omitted(value: Any, pointer: str) -> Any:
    """A copy without the member that the pointer points at; the value itself where there is
    none."""
    return _omitted(value, pointer.split("/")[1:])


def every(value: Any, pattern: str) -> Iterator[tuple[str, Any]]:
    """All matches of a pointer in which `*` stands for every item of a list: (pointer, value)."""
    yield from _every(value, pattern.split("/")[1:], "")


def _every(value: Any, steps: Sequence[str], prefix: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        yield prefix, value
    elif steps[0] == "*":
        for n, inner in enumerate(value if isinstance(value, list) else ()):
            yield from _every(inner, steps[1:], f"{prefix}/{n}")
    elif isinstance(value, dict) and steps[0] in value:
        yield from _every(value[steps[0]], steps[1:], f"{prefix}/{steps[0]}")


def pointer_to(path: Iterable[str | int]) -> str:
    """The pointer for a path of keys and indices; of one that would be longer than LENGTH_MAX, the
    nearest ancestor's. Bounded, because a client chooses the keys."""
    pointer = ""
    for step in path:
        if len(pointer) + len(key := str(step)) >= LENGTH_MAX:
            break
        longer = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        if len(longer) > LENGTH_MAX:
            break
        pointer = longer
    return pointer


def _omitted(value: Any, steps: Sequence[str]) -> Any:
    first, *rest = steps
    if not isinstance(value, dict) or first not in value:
        return value
    if rest:
        return value | {first: _omitted(value[first], rest)}
    return {key: each for key, each in value.items() if key != first}


def _changed(value: Any, steps: Sequence[str], change: Callable[[str], str]) -> Any:
    if not steps:
        return change(value) if isinstance(value, str) else value
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    return value | {steps[0]: _changed(value[steps[0]], steps[1:], change)}
