"""Request bodies as JSON that every reader understands the same (RFC 8259, I-JSON). Pure.

A body is parsed in one pass of the standard parser. Its hooks put marks in place of what readers
understand differently. Pointers are made only for a body that is refused, and only for its faults,
so the cost is linear in the size of a body, whatever it holds (docs/decisions/007).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, NoReturn

from secaplane.model.errors import BrokenRule, Malformed, ProblemSource
from secaplane.model.pointer import pointer_to

NESTING_MAX = 64
BROKEN_MAX = 100
"""Faults that a problem lists."""
VISITED_MAX = 20_000
"""Values among which the places of faults are looked for; a body may have many more."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
INTEGRAL_MAX = 2**53
DIGITS_MAX = 20
"""Characters of the longest integer in the range of int64."""

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_NO_NUMBER = "is not a JSON number"
_NESTED = f"is nested deeper than {NESTING_MAX}"
Step = str | int


class _Fault:
    """A fault, in the place of the value that has it."""

    __slots__ = ("detail",)

    def __init__(self, detail: str) -> None:
        self.detail = detail


class _Repeated:
    """An object with a duplicate key."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


_DUPLICATE = _Fault("is a duplicate key")
_INTEGER = _Fault("is an integer outside the range of int64")
_NUMBER = _Fault("is a number beyond the range of a double")
_NUL = _Fault("holds a NUL character")
_SURROGATE = _Fault("holds half a surrogate pair")
_SUSPECT = frozenset({dict, list, _Repeated, _Fault})


def read(data: bytes) -> Any:
    """A body as plain JSON values.

    Raises:
        Malformed: not JSON (RFC 8259), or JSON that readers understand differently: duplicate keys,
            NUL, lone surrogates, integers outside int64, nesting over NESTING_MAX.
    """
    hooks = _Hooks()
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=hooks.members,
            parse_int=hooks.integer,
            parse_float=hooks.number,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise Malformed(f"the body is not JSON: {error.msg}, {place}") from error
    except RecursionError as error:
        raise Malformed(f"the body {_NESTED}") from error
    faults = hooks.faults | _faults_of_text(data)
    if faults or _too_deep(data):
        _refuse(value, faults or {_NESTED})
    return value


def _refuse(value: Any, faults: set[str]) -> NoReturn:
    """Refuse a body with known faults, naming the places of those that are met soon."""
    broken = list(islice(_broken(value), BROKEN_MAX))
    if not broken:
        raise Malformed(
            f"a value of the body {', or '.join(sorted(faults))}; it is too large to say where"
        )
    raise Malformed(
        "; ".join(f"{each.pointer}: {each.detail}" for each in broken),
        sources=[ProblemSource(each.pointer) for each in broken],
    )


def _faults_of_text(data: bytes) -> set[str]:
    """The faults that strings of a text that is JSON have."""
    if b"\\u0000" not in data and b"\\ud" not in data and b"\\uD" not in data:
        return set()
    unpaired = _WHOLE.sub(b" ", data)
    nul = {_NUL.detail} if b"\\u0000" in unpaired else set()
    return nul | ({_SURROGATE.detail} if _HALF.search(unpaired) else set())


_WHOLE = re.compile(rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
"""Escaped backslashes, and escaped pairs of surrogates."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def _too_deep(data: bytes) -> bool:
    """True if containers are nested deeper than NESTING_MAX in a text that is JSON."""
    if data.count(b"[") + data.count(b"{") <= NESTING_MAX:
        return False
    brackets = _STRINGS.sub(b"", data).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > NESTING_MAX


_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")
"""Opening brackets as 1, closing ones as -1 of a signed byte."""
_NO_BRACKETS = bytes(set(range(256)).difference(b"[{]}"))


class _Hooks:
    """The hooks of one parse, and the faults that they have marked."""

    __slots__ = ("faults",)

    def __init__(self) -> None:
        self.faults: set[str] = set()

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        self.faults.add(_DUPLICATE.detail)
        return _Repeated(pairs)

    def integer(self, digits: str) -> int | _Fault:
        if len(digits) < DIGITS_MAX - 1:
            return int(digits)
        if len(digits) <= DIGITS_MAX and INT_MIN <= (value := int(digits)) <= INT_MAX:
            return value
        self.faults.add(_INTEGER.detail)
        return _INTEGER

    def number(self, digits: str) -> float | int | _Fault:
        """10.0 is an integer (JSON Schema, 6.1.1), and is read as one."""
        value = float(digits)
        if value.is_integer():
            return int(value) if value and -INTEGRAL_MAX <= value <= INTEGRAL_MAX else value
        if math.isfinite(value):
            return value
        self.faults.add(_NUMBER.detail)
        return _NUMBER


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} {_NO_NUMBER}", name, 0)


def _broken(value: Any) -> Iterator[BrokenRule]:
    """Faults in the order of the body, until VISITED_MAX values have been visited."""
    path: list[Step] = []
    waiting = [_suspects([value])]
    for _ in range(VISITED_MAX):
        step, each = next(waiting[-1], (None, None))
        if step is None:
            waiting.pop()
            if not waiting:
                return
            del path[-1:]
        elif each.__class__ is _Fault:
            yield BrokenRule(each.detail, _shown([*path, step]))
        elif len(waiting) > NESTING_MAX:
            yield BrokenRule(_NESTED, _shown([*path, step]))
        else:
            path.append(step)
            waiting.append(_suspects(each))


def _suspects(container: Any) -> Iterator[tuple[Step, Any]]:
    """The containers and faults directly inside a container, each with its step."""
    if container.__class__ is _Repeated:
        return _with_faults_of_text(_with_duplicates(container.pairs))
    members = container.items() if container.__class__ is dict else enumerate(container)
    return _with_faults_of_text(members)


def _with_duplicates(pairs: list[tuple[str, Any]]) -> Iterator[tuple[Step, Any]]:
    seen: set[str] = set()
    for key, each in pairs:
        if key in seen:
            yield key, _DUPLICATE
        seen.add(key)
        yield key, each


def _with_faults_of_text(members: Iterable[tuple[Step, Any]]) -> Iterator[tuple[Step, Any]]:
    for step, each in members:
        for text in (step, each) if each is not _DUPLICATE else ():
            if text.__class__ is str and _UNREADABLE.search(text):
                if "\0" in text:
                    yield step, _NUL
                if _UNREADABLE.search(text.replace("\0", "")):
                    yield step, _SURROGATE
        if each.__class__ in _SUSPECT:
            yield step, each


def _shown(path: list[Step]) -> str:
    """The JSON pointer, without characters that an answer cannot hold. The first step leads to the
    body itself."""
    return pointer_to(path[1:]).replace("\0", "").encode("utf-8", "replace").decode()
