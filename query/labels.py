"""A label selector -> a SQL condition over `labels` and its arguments. Pure (digest, section 9).

    selector = term *("," term)         all must hold
    term     = key op value             op is one of = != > < >= <=

`*` stands for any characters in key and value, with `=` and `!=`. Comparisons are of numbers; a
value that is none does not match. `!=` also matches what has no such key.
"""

import re
from collections.abc import Sequence

import msgspec

from model.errors import Malformed

SELECTOR_LENGTH_MAX = 4096
TERMS_MAX = 32
FIRST_ARGUMENT = 6
"""The number of the first argument: see `readmodel.questions.page`."""
TERM = re.compile(r"([^=!<>,\s]+)\s*(!=|>=|<=|=|>|<)([^=!<>,]*)")
NUMBER = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?")
_NUMERIC = "'^[+-]?[0-9]{1,64}([.][0-9]{1,64})?$'"


class Term(msgspec.Struct, frozen=True):
    key: str
    op: str
    value: str


def terms(selector: str) -> list[Term]:
    """Raises Malformed, naming the term that cannot be read."""
    if len(selector) > SELECTOR_LENGTH_MAX or "\0" in selector:
        raise _malformed(
            f"a selector has at most {SELECTOR_LENGTH_MAX} characters, none of them NUL"
        )
    parts = selector.split(",")
    if len(parts) > TERMS_MAX:
        raise _malformed(f"a selector has at most {TERMS_MAX} terms")
    return [_term(n, part) for n, part in enumerate(parts, start=1)]


def condition(chosen: Sequence[Term]) -> tuple[str, list[object]]:
    """`and ...` and the arguments it numbers from FIRST_ARGUMENT on."""
    arguments: list[object] = []
    written = [f"and {_written(term, arguments)}" for term in chosen]
    return " ".join(written), arguments


def _term(n: int, part: str) -> Term:
    part = part.strip()
    found = TERM.fullmatch(part)
    if found is None:
        raise _malformed(f"term {n}, {part!r}, is not key=value (or != > < >= <=)")
    term = Term(found[1], found[2], found[3].strip())
    if term.op not in ("=", "!=") and not NUMBER.fullmatch(term.value):
        raise _malformed(f"term {n}, {part!r}, compares with what is no number")
    return term


def _malformed(why: str) -> Malformed:
    return Malformed(f"the label selector cannot be read: {why}", parameter="labels")


def _written(term: Term, arguments: list[object]) -> str:
    wild = "*" in term.key or "*" in term.value
    if term.op in ("=", "!="):
        if wild:
            key, value = _like(term.key), _like(term.value)
            said = f"key like {_n(arguments, key)} and value like {_n(arguments, value)}"
            held = f"exists (select from jsonb_each_text(labels) as l (key, value) where {said})"
        else:
            pair = msgspec.json.encode({term.key: term.value}).decode()
            held = f"labels @> {_n(arguments, pair)}::text::jsonb"
        return held if term.op == "=" else f"not {held}"
    value = f"labels ->> {_n(arguments, term.key)}::text"
    number = f"{_n(arguments, term.value)}::text::numeric"
    return (
        f"case when {value} ~ {_NUMERIC} then ({value})::numeric {term.op} {number} else false end"
    )


def _n(arguments: list[object], value: object) -> str:
    arguments.append(value)
    return f"${FIRST_ARGUMENT - 1 + len(arguments)}"


def _like(pattern: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%")
