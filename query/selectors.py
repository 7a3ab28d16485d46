"""Label selectors: parsed into terms, and turned into a condition of a list's query. Pure.

    selector = term *("," term)         all terms must hold
    term     = key op value             op is one of = != > < >= <=

`*` stands for any characters in key and value, with `=` and `!=`. Comparisons are of numbers; a
value that is none does not match. `!=` also matches resources without such a key.

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
PATTERNS_MAX = 4
"""Terms with `*` where no term is `key=value` without one: they are evaluated on many rows."""
TERM = re.compile(r"([^=!<>,\s]+)\s*(!=|>=|<=|=|>|<)([^=!<>,]*)")
NUMBER = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?")
_NUMERIC = "'^[+-]?[0-9]{1,64}([.][0-9]{1,64})?$'"


class Term(msgspec.Struct, frozen=True):
    key: str
    op: str
    value: str

    @property
    def pattern(self) -> bool:
        return "*" in self.key or "*" in self.value

    @property
    def exact(self) -> bool:
        """One value of one key."""
        return self.op == "=" and not self.pattern


def terms(selector: str) -> list[Term]:
    """Raises Malformed, naming the term that cannot be parsed."""
    if len(selector) > SELECTOR_LENGTH_MAX or "\0" in selector:
        raise _malformed(
            f"a selector has at most {SELECTOR_LENGTH_MAX} characters, none of them NUL"
        )
    parts = selector.split(",")
    if len(parts) > TERMS_MAX:
        raise _malformed(f"a selector has at most {TERMS_MAX} terms")
    found = [_term(n, part) for n, part in enumerate(parts, start=1)]
    patterns = sum(1 for term in found if term.pattern)
    if patterns > PATTERNS_MAX and not any(term.exact for term in found):
        raise _malformed(
            f"at most {PATTERNS_MAX} terms take *, unless another term is key=value without *"
        )
    return found


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
    return 0 if term.exact else 1 if "*" not in term.key else 2


def _term(n: int, part: str) -> Term:
    part = part.strip()
    found = TERM.fullmatch(part)
    if found is None:
        raise _malformed(f"term {n}, {part!r}, is not key=value (or != > < >= <=)")
    term = Term(found[1], found[2], found[3].strip())
    if term.op not in ("=", "!=") and not NUMBER.fullmatch(term.value):
        raise _malformed(f"term {n}, {part!r}, needs a number to compare with")
    return term


def _malformed(why: str) -> Malformed:
    return Malformed(f"the label selector cannot be parsed: {why}", parameter="labels")


def _written(term: Term, arguments: list[object]) -> str:
    if term.exact:
        return f"exists ({_ALSO} and {_condition('also', term, arguments)})"
    if term.op == "!=" and not term.pattern:
        value = f"r.labels ->> {_n(arguments, term.key)}::text"
        return f"({value}) is distinct from {_n(arguments, term.value)}::text"
    if term.op in ("=", "!="):
        matches = _condition("own", term, arguments)
        own = f"exists (select from jsonb_each_text(r.labels) as own (key, value) where {matches})"
        return own if term.op == "=" else f"not {own}"
    value = f"r.labels ->> {_n(arguments, term.key)}::text"
    number = f"{_n(arguments, term.value)}::text::numeric"
    return f"case when {value} ~ {_NUMERIC} then ({value})::numeric {term.op} {number} end"


_ALSO = """select from labels as also where also.kind = $1 and also.collection = $2
    and also.name = l.name and also.life = l.life"""


def _condition(row: str, term: Term, arguments: list[object]) -> str:
    key = _like(f"{row}.key", term.key, arguments)
    if term.op in ("=", "!="):
        return f"{key} and {_like(f'{row}.value', term.value, arguments)}"
    return f"{key} and {row}.number {term.op} {_n(arguments, term.value)}::text::numeric"


def _like(column: str, pattern: str, arguments: list[object]) -> str:
    if "*" not in pattern:
        return f"{column} = {_n(arguments, pattern)}"
    if not pattern.strip("*"):
        return "true"
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return f"{column} like {_n(arguments, escaped.replace('*', '%'))}"


def _n(arguments: list[object], value: object) -> str:
    arguments.append(value)
    return f"${FIRST_ARGUMENT - 1 + len(arguments)}"
