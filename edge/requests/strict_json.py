"""Request bodies as JSON that every reader understands the same (RFC 8259, I-JSON). Pure.

A body is parsed in one pass of the standard parser. Its hooks put marks in place of what readers
understand differently. Pointers are made only for a body that is refused, and only for its faults,
so the cost is linear in the size of a body, whatever it holds (docs/decisions/007).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Set
from itertools import chain, islice
from typing import Any, NoReturn

from secaplane.model.errors import BrokenRule, Malformed, ProblemSource
from secaplane.model.pointer import pointer_to

NESTING_MAX = 64
BROKEN_MAX = 100
"""Faults that a problem lists."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
INTEGRAL_MAX = 2**53
DIGITS_MAX = 20
"""Characters of the longest integer in the range of int64."""

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_NO_NUMBER = "is not a JSON number"
_NESTED = f"is nested deeper than {NESTING_MAX}"
_DUPLICATE = "is a duplicate key"
Step = str | int


class _Fault:
    """A fault, in the place of the number that has it."""

    __slots__ = ("detail",)

    def __init__(self, detail: str) -> None:
        self.detail = detail


_INTEGER = _Fault("is an integer outside the range of int64")
_NUMBER = _Fault("is a number beyond the range of a double")


class _Repeated(list[Any]):
    """The values of an object with a duplicate key."""

    __slots__ = ("keys",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__([value for _, value in pairs])
        self.keys = [key for key, _ in pairs]


_CONTAINERS = frozenset({dict, list, _Repeated})


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
    texts = b"\\u0000" in data or b"\\ud" in data or b"\\uD" in data
    deep = data.count(b"[") + data.count(b"{") > NESTING_MAX
    scalars = hooks.numbers or texts
    if hooks.duplicates or scalars or deep:
        levels = _levels(value)
        if hooks.duplicates or scalars or len(levels) > DEEPEST:
            _refuse(islice(_broken(levels, scalars=scalars), BROKEN_MAX))
    return value


class _Hooks:
    """The hooks of one parse, and the marks that they have put."""

    __slots__ = ("duplicates", "numbers")

    def __init__(self) -> None:
        self.duplicates = self.numbers = False

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        self.duplicates = True
        return _Repeated(pairs)

    def integer(self, digits: str) -> int | _Fault:
        if len(digits) < DIGITS_MAX - 1:
            return int(digits)
        if len(digits) <= DIGITS_MAX and INT_MIN <= (value := int(digits)) <= INT_MAX:
            return value
        self.numbers = True
        return _INTEGER

    def number(self, digits: str) -> float | int | _Fault:
        """10.0 is an integer (JSON Schema, 6.1.1), and is read as one."""
        value = float(digits)
        if value.is_integer():
            return int(value) if value and -INTEGRAL_MAX <= value <= INTEGRAL_MAX else value
        if math.isfinite(value):
            return value
        self.numbers = True
        return _NUMBER


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} {_NO_NUMBER}", name, 0)


DEEPEST = NESTING_MAX + 1
"""Levels of a body that is nested as deep as is allowed: the first one holds the body itself."""
_Levels = list[list[Any]]


def _levels(value: Any) -> _Levels:
    """The containers by depth, at most one level more than is allowed."""
    levels: _Levels = []
    level: list[Any] = [[value]]
    while level and len(levels) <= DEEPEST:
        levels.append(level)
        level = [
            inner
            for each in level
            if each
            for inner in (each.values() if each.__class__ is dict else each)
            if inner.__class__ in _CONTAINERS
        ]
    return levels


def _refuse(faults: Iterator[BrokenRule]) -> None:
    broken = list(faults)
    if broken:
        raise Malformed(
            "; ".join(f"{each.pointer}: {each.detail}" for each in broken),
            sources=[ProblemSource(each.pointer) for each in broken],
        )


def _broken(levels: _Levels, *, scalars: bool) -> Iterator[BrokenRule]:
    """Faults, the outermost first. `scalars`: numbers and strings may have faults, too."""
    holders = [_holders(level, scalars=scalars) for level in levels[:DEEPEST]]
    too_deep = [level[:BROKEN_MAX] for level in levels[DEEPEST:]]
    paths = _paths(levels, [*holders, *too_deep])
    for holder in chain.from_iterable(holders):
        for step, detail in _faults(holder):
            yield BrokenRule(detail, _shown([*paths[id(holder)], step]))
    for each in chain.from_iterable(too_deep):
        yield BrokenRule(_NESTED, _shown(paths[id(each)]))


def _holders(level: list[Any], *, scalars: bool) -> list[Any]:
    """The first containers of a level that have a fault directly inside them."""
    holders = (
        each
        for each in level
        if each.__class__ is _Repeated or (scalars and each and _holds_scalar(each))
    )
    return list(islice(holders, BROKEN_MAX))


def _holds_scalar(container: Any) -> bool:
    """True if a number or a string directly inside a container has a fault."""
    values = container.values() if container.__class__ is dict else container
    types = set(map(type, values))
    if _Fault in types:
        return True
    keys = container if container.__class__ is dict else ()
    if str not in types and not keys:
        return False
    strings = [each for each in values if each.__class__ is str]
    return _UNREADABLE.search("".join([*keys, *strings])) is not None


def _faults(container: Any) -> Iterator[tuple[Step, str]]:
    """(step, detail) of the faults directly inside a container."""
    seen: set[Step] = set()
    for step, value in _members(container):
        if container.__class__ is _Repeated:
            if step in seen:
                yield step, _DUPLICATE
            seen.add(step)
        if value.__class__ is _Fault:
            yield step, value.detail
        for text in (step, value):
            yield from ((step, detail) for detail in _faults_of_text(text))


def _members(container: Any) -> Iterable[tuple[Step, Any]]:
    if container.__class__ is _Repeated:
        return zip(container.keys, container, strict=True)
    return container.items() if container.__class__ is dict else enumerate(container)


def _faults_of_text(text: Any) -> Iterator[str]:
    if text.__class__ is str and _UNREADABLE.search(text):
        if "\0" in text:
            yield "holds a NUL character"
        if text.strip("\0") and _UNREADABLE.search(text.replace("\0", "")):
            yield "holds half a surrogate pair"


def _paths(levels: _Levels, wanted: _Levels) -> dict[int, list[Step]]:
    """The path of each wanted container by its id, from one pass over the levels, the deepest
    first."""
    ways: dict[int, list[Step]] = {}
    through: dict[int, list[int]] = {}
    """Id of a container of the level below -> the wanted ones at or below it."""
    for level, starting in zip(reversed(levels), reversed(wanted), strict=True):
        lifted: dict[int, list[int]] = {}
        for container, step, inner in _members_among(through.keys(), level) if through else ():
            lifted.setdefault(id(container), []).extend(through[id(inner)])
            for each in through[id(inner)]:
                ways[each].append(step)
        for new in starting:
            ways[id(new)] = []
            lifted.setdefault(id(new), []).append(id(new))
        through = lifted
    return {each: way[::-1] for each, way in ways.items()}


def _members_among(ids: Set[int], level: list[Any]) -> list[tuple[Any, Step, Any]]:
    return [
        (each, step, inner)
        for each in level
        if not ids.isdisjoint(map(id, each.values() if each.__class__ is dict else each))
        for step, inner in _members(each)
        if id(inner) in ids
    ]


def _shown(path: list[Step]) -> str:
    """The JSON pointer, without characters that an answer cannot hold. The first step leads to the
    body itself."""
    return pointer_to(path[1:]).replace("\0", "").encode("utf-8", "replace").decode()
