"""JSON pointers (RFC 6901) into plain values. Pure."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any


def at(value: Any, pointer: str) -> Any:
    """What the pointer points at; None where there is nothing."""
    return reduce(
        lambda inner, step: inner.get(step) if isinstance(inner, dict) else None,
        pointer.split("/")[1:],
        value,
    )


def changed(value: Any, pointer: str, change: Callable[[str], str]) -> Any:
    """The value with the string the pointer points at changed; the value itself if there is
    none."""
    return _changed(value, pointer.split("/")[1:], change)


def spelled(path: Sequence[str | int]) -> str:
    """A path of keys and indices as a pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _changed(value: Any, steps: Sequence[str], change: Callable[[str], str]) -> Any:
    if not steps:
        return change(value) if isinstance(value, str) else value
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    return value | {steps[0]: _changed(value[steps[0]], steps[1:], change)}
