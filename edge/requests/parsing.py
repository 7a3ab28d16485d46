"""Strict parsing of request bodies (JSON that every reader understands the same) and of the headers
that have an effect. Pure.

A valid body costs one pass of the standard parser with a hook; only a suspicious one is walked
again, slowly, to find the places of its faults.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

from secaplane.model.errors import (
    BrokenRule,
    Malformed,
    NotAcceptable,
    ProblemSource,
    UnsupportedMediaType,
)
from secaplane.model.pointer import pointer_to
from secaplane.model.shape import Json

NESTING_MAX = 64
BROKEN_MAX = 100
"""Faults that a problem lists."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
INTEGRAL_MAX = 2**53
MEDIA_TYPES = ("application/json", "application/*", "*/*")
DELETED = {"true": None, "only": True, "false": False}
"""The value of `deleted` in Accept: `true` lists deleted resources too, `only` nothing else."""

_NOT_AT_ALL = re.compile(r"q=0(\.0*)?")
_NO_NUMBER = "is not a JSON number"


class _Suspicious(Exception):
    pass


class _Pairs(list[tuple[str, Any]]):
    """An object whose keys may repeat."""


def body(data: bytes) -> Any:
    """A body as plain JSON values.

    Raises:
        Malformed: not JSON (RFC 8259), or JSON that readers understand differently: duplicate keys,
            NUL, lone surrogates, integers outside int64, nesting over NESTING_MAX.
    """
    try:
        text = data.decode()
        if _suspicious(data):
            raise _Suspicious
        return _loads(text)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _not_json(error) from error
    except (_Suspicious, RecursionError):
        return _walked(text)


def deleted(accept: str | None) -> bool | None:
    """Which of a collection an Accept header asks for: False living, True deleted, None both.

    Raises:
        NotAcceptable: it does not accept JSON.
    """
    if not accept:
        return False
    for part in accept.lower().split(","):
        media_type, *parameters = [piece.strip() for piece in part.split(";")]
        if media_type in MEDIA_TYPES and not any(map(_NOT_AT_ALL.fullmatch, parameters)):
            for parameter in parameters:
                key, _, value = parameter.partition("=")
                if key == "deleted":
                    if value not in DELETED:
                        raise NotAcceptable("deleted takes true or only", parameter="Accept")
                    return DELETED[value]
            return False
    raise NotAcceptable("answers are application/json; accept that", parameter="Accept")


def media_type(header: str | None) -> None:
    """Raises UnsupportedMediaType unless the header says JSON in UTF-8."""
    kind, *parameters = (header or "").lower().replace(" ", "").split(";")
    charsets = [each for each in parameters if each.startswith("charset=")]
    if kind != "application/json" or any(c.strip('"') not in _UTF8 for c in charsets):
        raise UnsupportedMediaType(
            "send JSON: Content-Type: application/json", parameter="Content-Type"
        )


_UTF8 = ("charset=utf-8", 'charset="utf-8', "charset=utf8")


def _suspicious(data: bytes) -> bool:
    deep = data.count(b"[") + data.count(b"{") > NESTING_MAX
    return deep or b"\\u0000" in data or b"\\ud" in data or b"\\uD" in data


def _loads(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_unique,
        parse_int=_int64,
        parse_float=_finite,
        parse_constant=_no_constant,
    )


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Suspicious
    return members


def _int64(digits: str) -> int:
    if len(digits) > 18 and (len(digits) > 20 or not INT_MIN <= int(digits) <= INT_MAX):
        raise _Suspicious
    return int(digits)


def _finite(digits: str) -> float | int:
    """10.0 is an integer (JSON Schema, 6.1.1), and is read as one."""
    value = float(digits)
    if not math.isfinite(value):
        raise _Suspicious
    return int(value) if value.is_integer() and 0 < abs(value) <= INTEGRAL_MAX else value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} {_NO_NUMBER}", name, 0)


def _walked(text: str) -> Any:
    """The slow second pass: refuses with the place of each fault, or finds none."""
    try:
        tree = json.loads(
            text, object_pairs_hook=_Pairs, parse_int=_int_or_digits, parse_constant=_no_constant
        )
        broken = list(islice(_broken(tree, ()), BROKEN_MAX))
    except json.JSONDecodeError as error:
        raise _not_json(error) from error
    except RecursionError as error:
        raise Malformed(f"the body is nested deeper than {NESTING_MAX}") from error
    if broken:
        raise Malformed(
            "; ".join(f"{each.pointer}: {each.detail}" for each in broken),
            sources=[ProblemSource(each.pointer) for each in broken],
        )
    return _plain(tree)


class _Digits(str):
    """An integer too large to be one."""


def _int_or_digits(digits: str) -> int | _Digits:
    return (
        _Digits(digits)
        if len(digits) > 20 or not INT_MIN <= int(digits) <= INT_MAX
        else int(digits)
    )


def _broken(value: Any, path: tuple[str | int, ...]) -> Iterator[BrokenRule]:
    pointer = _shown(path)
    if len(path) >= NESTING_MAX and isinstance(value, list):
        yield BrokenRule(f"is nested deeper than {NESTING_MAX}", pointer)
    elif isinstance(value, _Pairs):
        yield from _broken_object(value, path)
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from _broken(each, (*path, n))
    elif isinstance(value, _Digits):
        yield BrokenRule("is an integer outside the range of int64", pointer)
    elif isinstance(value, str):
        yield from _broken_text(value, pointer)
    elif isinstance(value, float) and not math.isfinite(value):
        yield BrokenRule("is a number beyond the range of a double", pointer)


def _broken_object(pairs: _Pairs, path: tuple[str | int, ...]) -> Iterator[BrokenRule]:
    seen: set[str] = set()
    for key, each in pairs:
        pointer = _shown((*path, key))
        if key in seen:
            yield BrokenRule("is a duplicate key", pointer)
        seen.add(key)
        yield from _broken_text(key, pointer)
        yield from _broken(each, (*path, key))


def _broken_text(text: str, pointer: str) -> Iterator[BrokenRule]:
    if "\0" in text:
        yield BrokenRule("holds a NUL character", pointer)
    if any("\ud800" <= character <= "\udfff" for character in text):
        yield BrokenRule("holds half a surrogate pair", pointer)


def _shown(path: tuple[str | int, ...]) -> str:
    """The JSON pointer, without characters that an answer cannot hold."""
    return pointer_to(path).replace("\0", "").encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(each) for key, each in value}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _not_json(error: json.JSONDecodeError) -> Malformed:
    return Malformed(f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}")
