"""Regular expressions cost no more than the text they read: none can be matched in two ways."""

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import walk_packages
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import secaplane
from secaplane.model.precondition import tag_condition

ROOMS = ("model", "kinds", "edge", "policy", "query", "command", "eventlog", "audit")
EXPLORED = frozenset(map(chr, range(256)))
BACKTRACKING = (sre.MAX_REPEAT, sre.MIN_REPEAT)
Parsed = Sequence[tuple[Any, Any]]


def expressions() -> dict[str, re.Pattern[Any]]:
    names = [
        module.name
        for room in ROOMS
        for module in walk_packages(
            [f"{secaplane.__path__[0]}/{room}"], f"{secaplane.__name__}.{room}."
        )
    ]
    return {
        f"{name}.{key}": value
        for name in names
        for key, value in vars(import_module(name)).items()
        if isinstance(value, re.Pattern)
    }


def characters(parsed: Parsed) -> frozenset[str]:
    """The characters with which a match may begin."""
    begun: set[str] = set()
    for op, argument in parsed:
        begun |= first_of(op, argument)
        if not nullable(op, argument):
            break
    return frozenset(begun)


def first_of(op: Any, argument: Any) -> frozenset[str]:
    if op in (*BACKTRACKING, sre.POSSESSIVE_REPEAT):
        return characters(argument[2])
    if op is sre.SUBPATTERN:
        return characters(argument[3])
    if op is sre.ATOMIC_GROUP:
        return characters(argument)
    if op is sre.BRANCH:
        return frozenset().union(*map(characters, argument[1]))
    if op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
        return frozenset()
    single = parser.SubPattern(parser.State(), [(op, argument)])
    one = re.compile(_written(single), re.DOTALL)
    return frozenset(each for each in EXPLORED if one.fullmatch(each))


def _written(single: Any) -> str:
    op, argument = single[0]
    if op is sre.LITERAL:
        return re.escape(chr(argument))
    if op is sre.NOT_LITERAL:
        return f"[^{re.escape(chr(argument))}]"
    if op is sre.ANY:
        return "."
    assert op is sre.IN, f"an expression has {op}: extend this test"
    inner = "".join(
        "^"
        if each is sre.NEGATE
        else re.escape(chr(value))
        if each is sre.LITERAL
        else f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        for each, value in argument
    )
    return f"[{inner}]"


def nullable(op: Any, argument: Any) -> bool:
    if op in (*BACKTRACKING, sre.POSSESSIVE_REPEAT):
        return argument[0] == 0 or all(nullable(*each) for each in argument[2])
    if op is sre.SUBPATTERN:
        return all(nullable(*each) for each in argument[3])
    if op is sre.ATOMIC_GROUP:
        return all(nullable(*each) for each in argument)
    if op is sre.BRANCH:
        return any(all(nullable(*each) for each in way) for way in argument[1])
    return op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT)


def unbounded(op: Any, argument: Any) -> bool:
    return op in BACKTRACKING and argument[1] is sre.MAXREPEAT


def ambiguous(parsed: Parsed, after: frozenset[str] = frozenset()) -> Iterator[str]:
    """Two unbounded repetitions that can take the same characters, with nothing between them that
    has to be there: each way to divide a text among them is tried. `after`: what may begin an
    unbounded repetition behind this part."""
    following = after
    for op, argument in reversed([*parsed]):
        if unbounded(op, argument):
            own = characters(argument[2])
            if own & following:
                yield f"two repetitions take {sorted(own & following)[:3]}"
            yield from ambiguous(argument[2], repeated(argument[2]))
            following = following | own
        else:
            inner = [*parts(op, argument)]
            for part in inner:
                yield from ambiguous(part, following)
            begun = frozenset[str]().union(*map(repeated, inner))
            following = begun | following if nullable(op, argument) else begun


def parts(op: Any, argument: Any) -> Iterator[Parsed]:
    if op in (*BACKTRACKING, sre.POSSESSIVE_REPEAT):
        yield argument[2]
    elif op is sre.SUBPATTERN:
        yield argument[3]
    elif op is sre.BRANCH:
        yield from argument[1]


def repeated(parsed: Parsed) -> frozenset[str]:
    """The characters of unbounded repetitions with which a part may begin."""
    begun: set[str] = set()
    for op, argument in parsed:
        if unbounded(op, argument):
            begun |= characters(argument[2])
        for part in parts(op, argument) if op is not sre.POSSESSIVE_REPEAT else ():
            begun |= repeated(part)
        if not nullable(op, argument):
            break
    return frozenset(begun)


@pytest.mark.parametrize("name", expressions())
def test_no_text_can_be_divided_among_two_repetitions(name: str) -> None:
    assert list(ambiguous(parser.parse(expressions()[name].pattern))) == []


@pytest.mark.parametrize("expression", [r"[ \t]*(?:x)?[ \t]*,", "(a+)+b", "a*a*b", r"(a|b*)*c"])
def test_the_check_finds_expressions_of_quadratic_cost(expression: str) -> None:
    assert list(ambiguous(parser.parse(expression)))


def test_blanks_in_a_list_of_entity_tags_are_read_once() -> None:
    unreadable = tag_condition(['"a",' + " " * 60_000 + "x"])
    assert unreadable is not None
    assert unreadable.unreadable
