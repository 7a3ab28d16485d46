"""Label selectors: parsed into terms, and turned into a condition of a list's query. Pure.

    selector = term *("," term)         all terms must hold
    term     = key op value             op is one of = != > < >= <=
    key      = quoted, or text without = ! < > ,
    value    = quoted, or text up to the next comma
    quoted   = in double quotes; everything in it is literal, but for \\" and \\\\

Blanks around an unquoted key or value do not belong to it. A `*` in unquoted text stands for any
characters, with `=` and `!=`. Comparisons are of numbers; a value that is none does not match. `!=`
also matches resources without such a key. Parsing costs time linear in the selector's length.

One term leads: the index of labels names the resources that match it, for a first `=` without `*`
in the order of the list. Other terms of this sort use the same index; all others are evaluated on
the labels of each row. (SECA: lists)
"""

import re
from collections.abc import Sequence

import msgspec

from secaplane.model.errors import Malformed
from secaplane.readmodel.selection import FIRST_ARGUMENT, Selection

SELECTOR_LENGTH_MAX = 4096
TERMS_MAX = 32
PATTERNS_MAX, SCANNING_PATTERNS_MAX = 8, 4
"""Terms with a `*`: each is evaluated on all labels of every row; and fewer where no term is
`key=value`, because then those are many rows."""
STARS_MAX = 8
"""In one key or value."""
SHOWN_MAX = 80
NUMBER = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?")
BLANKS = " \t"
_BLANKS = re.compile(r"[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_KEY, _VALUE = re.compile(r"[^=!<>,]*"), re.compile(r"[^,]*")
_OP = re.compile(r"!=|>=|<=|=|>|<")
_NUMERIC = "'^[+-]?[0-9]{1,64}([.][0-9]{1,64})?$'"


class Pattern(msgspec.Struct, frozen=True):
    """A key or a value to match: its literal parts, with any characters between them."""

    parts: tuple[str, ...]

    @property
    def literal(self) -> bool:
        return len(self.parts) == 1


class Term(msgspec.Struct, frozen=True):
    key: Pattern
    op: str
    value: Pattern

    @property
    def exact(self) -> bool:
        """One value of one key."""
        return self.op == "=" and not self.has_star

    @property
    def has_star(self) -> bool:
        return not (self.key.literal and self.value.literal)


def terms(selector: str) -> list[Term]:
    """Raises Malformed, naming the term that cannot be parsed."""
    if len(selector) > SELECTOR_LENGTH_MAX or "\0" in selector:
        raise _malformed(
            f"a selector has at most {SELECTOR_LENGTH_MAX} characters, none of them NUL"
        )
    parsed, place = list[Term](), 0
    while place <= len(selector):
        if len(parsed) == TERMS_MAX:
            raise _malformed(f"a selector has at most {TERMS_MAX} terms")
        term, place = _term(selector, len(parsed) + 1, place)
        parsed.append(term)
    _refuse_many_patterns(parsed)
    return parsed


def _refuse_many_patterns(parsed: Sequence[Term]) -> None:
    patterns = sum(term.has_star for term in parsed)
    if patterns > PATTERNS_MAX:
        raise _malformed(f"a selector has at most {PATTERNS_MAX} terms with a *")
    if patterns > SCANNING_PATTERNS_MAX and not any(term.exact for term in parsed):
        raise _malformed(
            f"at most {SCANNING_PATTERNS_MAX} terms take a *, unless another one is key=value"
            " without it"
        )


def pattern(text: str) -> Pattern:
    """Unquoted text, in which `*` stands for any characters."""
    first, *others = text.split("*")
    return Pattern((first, *(part for part in others[:-1] if part), *others[-1:]))


def literal(text: str) -> Pattern:
    return Pattern((text,))


def selection(terms: Sequence[Term]) -> Selection:
    lead = min((term for term in terms if term.op != "!="), key=_rank, default=None)
    arguments: list[object] = []
    indexed = _condition("l", lead, arguments) if lead else ""
    others = [f"and {_written(term, arguments)}" for term in terms if term is not lead]
    return Selection(indexed, lead is not None and lead.exact, " ".join(others), arguments)


def bare(terms: Sequence[Term]) -> bool:
    """A resource without any label matches."""
    return all(term.op == "!=" for term in terms)


def _rank(term: Term) -> int:
    return 0 if term.exact else 1 if term.key.literal else 2


def _term(selector: str, number: int, begin: int) -> tuple[Term, int]:
    """The term that begins at a place, and the place after its comma."""
    part = selector[begin : begin + SHOWN_MAX].partition(",")[0].strip(BLANKS)
    where = f"term {number}, {part!r},"
    key, place = _operand(selector, begin, _KEY, where)
    op = _OP.match(selector, place)
    if op is None:
        raise _malformed(f"{where} is not key=value (or != > < >= <=)")
    value, place = _operand(selector, op.end(), _VALUE, where)
    if selector[place : place + 1] not in ("", ","):
        raise _malformed(f"{where} goes on after a closing quote; write a comma there")
    term = Term(key, op[0], value)
    if term.op not in ("=", "!="):
        _refuse_no_number(term, where)
    return term, place + 1


def _operand(
    selector: str, begin: int, unquoted: re.Pattern[str], where: str
) -> tuple[Pattern, int]:
    """The key or value that begins at a place, and the place after it and its blanks."""
    begin = _after_blanks(selector, begin)
    if selector[begin : begin + 1] != '"':
        found = unquoted.match(selector, begin)
        assert found is not None, "the pattern also matches nothing"
        made = pattern(found[0].strip(BLANKS))
        if unquoted is _KEY and made == literal(""):
            raise _malformed(f"{where} has no key; write key=value (or != > < >= <=)")
        if len(made.parts) > STARS_MAX + 1:
            raise _malformed(f"{where} has more than {STARS_MAX} * in one key or value")
        return made, found.end()
    quoted = _QUOTED.match(selector, begin)
    if quoted is None:
        raise _malformed(f"{where} has a quote that is not closed")
    text = _ESCAPED.sub(r"\1", quoted[1])
    return literal(text), _after_blanks(selector, quoted.end())


def _after_blanks(selector: str, begin: int) -> int:
    found = _BLANKS.match(selector, begin)
    assert found is not None, "the pattern also matches nothing"
    return found.end()


def _refuse_no_number(term: Term, where: str) -> None:
    if not term.key.literal:
        raise _malformed(f"{where} has a * in a comparison; use it with = or !=")
    if not (term.value.literal and NUMBER.fullmatch(term.value.parts[0])):
        raise _malformed(f"{where} needs a number to compare with")


def _malformed(why: str) -> Malformed:
    return Malformed(f"the label selector cannot be parsed: {why}", parameter="labels")


def _written(term: Term, arguments: list[object]) -> str:
    if term.exact:
        return f"exists ({_ALSO} and {_condition('also', term, arguments)})"
    if term.op == "!=" and not term.has_star:
        value = f"r.labels ->> {_n(arguments, term.key.parts[0])}::text"
        return f"({value}) is distinct from {_n(arguments, term.value.parts[0])}::text"
    if term.op in ("=", "!="):
        matches = _condition("own", term, arguments)
        own = f"exists (select from jsonb_each_text(r.labels) as own (key, value) where {matches})"
        return own if term.op == "=" else f"not {own}"
    value = f"r.labels ->> {_n(arguments, term.key.parts[0])}::text"
    number = f"{_n(arguments, term.value.parts[0])}::text::numeric"
    return f"case when {value} ~ {_NUMERIC} then ({value})::numeric {term.op} {number} end"


_ALSO = """select from labels as also where also.kind = $1 and also.collection = $2
    and also.name = l.name and also.life = l.life"""


def _condition(row: str, term: Term, arguments: list[object]) -> str:
    key = _like(f"{row}.key", term.key, arguments)
    if term.op in ("=", "!="):
        return f"{key} and {_like(f'{row}.value', term.value, arguments)}"
    return f"{key} and {row}.number {term.op} {_n(arguments, term.value.parts[0])}::text::numeric"


def _like(column: str, searched: Pattern, arguments: list[object]) -> str:
    if searched.literal:
        return f"{column} = {_n(arguments, searched.parts[0])}"
    if not any(searched.parts):
        return "true"
    escaped = (re.sub(r"([\\%_])", r"\\\1", part) for part in searched.parts)
    return f"{column} like {_n(arguments, '%'.join(escaped))}"


def _n(arguments: list[object], value: object) -> str:
    arguments.append(value)
    return f"${FIRST_ARGUMENT - 1 + len(arguments)}"
