"""Label selectors on labels at hand, as `query.selectors` puts them on rows. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import ge, gt, le, lt

from secaplane.query.selectors import NUMBER, Pattern, Term

_COMPARED = {"<": lt, "<=": le, ">": gt, ">=": ge}


def matches(terms: Sequence[Term], labels: Mapping[str, str]) -> bool:
    """True if all terms hold. Linear in the labels for each term."""
    return all(_holds(term, labels) for term in terms)


def _holds(term: Term, labels: Mapping[str, str]) -> bool:
    if term.op in _COMPARED:
        value = labels.get(term.key.parts[0], "")
        compared = _COMPARED[term.op]
        return bool(
            NUMBER.fullmatch(value) and compared(Decimal(value), Decimal(term.value.parts[0]))
        )
    found = any(_like(term.key, k) and _like(term.value, v) for k, v in labels.items())
    return found is (term.op == "=")


def _like(pattern: Pattern, text: str) -> bool:
    """The parts follow each other in the text, each at its first place: no backtracking."""
    if pattern.literal:
        return text == pattern.parts[0]
    first, *between, last = pattern.parts
    place, end = len(first), len(text) - len(last)
    if place > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in between:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
