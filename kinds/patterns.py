"""The resource patterns that a role can hold: those that can match a resource. Pure.

*   subnets   subnets/*   subnets/s   networks/n/subnets/s   networks/n/*

and of the views of the log: history/*, history/ before one of these, activity, exports.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from secaplane import kinds
from secaplane.kinds.views import AUDIT, HISTORY, VIEWS
from secaplane.model.kind import Backing

EVERY = "*"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_IN_CATALOGUE = re.compile(NAME.pattern, re.IGNORECASE)
NAME_LENGTH_MAX = 128
STEPS_MAX = 6
"""No pattern has more; each costs a comparison with every collection of its provider."""


class PatternForms(NamedTuple):
    """The collections of one provider. A collection below others is known by its own name, too."""

    names: dict[tuple[str, ...], re.Pattern[str]]
    """(networks, subnets) -> the names of its resources."""
    parents: frozenset[tuple[str, ...]]
    """The collections whose resources contain others."""
    nested: dict[str, tuple[str, ...]]
    """subnets -> (networks, subnets)."""


def is_pattern(provider: str, pattern: str) -> bool:
    """True if a pattern can match a resource of a provider (`seca.network`), whichever exist."""
    if pattern == EVERY:
        return True
    if provider == AUDIT.name:
        return _is_view(pattern)
    steps, forms = pattern.split("/"), _forms(provider)
    if len(steps) > 2 and len(steps) % 2 and steps[-1] == EVERY:
        return tuple(steps[:-1:2]) in forms.parents and _are_names(steps[1::2])
    name = forms.names.get(tuple(steps[::2]))
    if name is None:
        return False
    if len(steps) % 2:
        return _are_names(steps[1::2])
    return _are_names(steps[1:-1:2]) and (steps[-1] == EVERY or _is_name(steps[-1], name))


def nearest_pattern(provider: str, text: str) -> str:
    """The pattern that was most likely meant; of a long text, its first STEPS_MAX steps count."""
    if provider == AUDIT.name:
        return _nearest_view(text)
    steps, forms = [step for step in text.split("/") if step][:STEPS_MAX], _forms(provider)
    if not forms.nested or not steps or steps[0].startswith(EVERY):
        return EVERY
    for n in reversed(range(len(steps))):
        found = get_close_matches(steps[n].lower(), forms.nested, 1, 0.75)
        if found:
            return _completed(forms, found[0], steps, n)
    return f"{get_close_matches(steps[0].lower(), forms.nested, 1, 0.0)[0]}/{EVERY}"


def _is_view(pattern: str) -> bool:
    """True for `history/*`, `activity`, and `history/` before a pattern of any provider."""
    view, _, rest = pattern.partition("/")
    if view not in VIEWS or view == HISTORY:
        return view == HISTORY and any(is_pattern(each, rest) for each in _with_collection(rest))
    return pattern in (view, f"{view}/{EVERY}")


def _with_collection(pattern: str) -> Sequence[str]:
    """The providers that have the collection of a pattern, and for `*` one: a role has thousands of
    patterns, and no pattern is compared with every provider."""
    first = pattern.partition("/")[0]
    return _by_collection().get(first, ()) if first != EVERY else [*_of_tenants()][:1]


@cache
def _by_collection() -> dict[str, list[str]]:
    providers: dict[str, list[str]] = {}
    for provider in _of_tenants():
        for name in _forms(provider).nested:
            providers.setdefault(name, []).append(provider)
    return providers


def _of_tenants() -> Iterator[str]:
    """The providers whose resources roles can name."""
    return (each for each in kinds.PROVIDERS if each.startswith("seca."))


def _nearest_view(text: str) -> str:
    view, *steps = text.split("/")
    rest = "/".join(steps[:STEPS_MAX])
    found = get_close_matches(view.lower(), VIEWS, 1, 0.6)
    if not found:
        return EVERY
    if found[0] != HISTORY:
        return found[0]
    near = (nearest_pattern(each, rest) for each in _of_tenants() if rest.strip(f"/{EVERY}"))
    closest = get_close_matches(rest.lower(), [each for each in near if each != EVERY], 1, 0.0)
    return f"{HISTORY}/{closest[0] if closest else EVERY}"


def _completed(forms: PatternForms, collection: str, steps: Sequence[str], n: int) -> str:
    """The pattern of the collection that is step n, with the other steps that can be kept."""
    nested, rest = forms.nested[collection], steps[n + 1 :]
    above = list(steps[max(0, n - 2 * (len(nested) - 1)) : n])
    keep = tuple(above[::2]) == nested[:-1] and _are_names(above[1::2])
    name = rest[0] if rest and _is_name(rest[0], forms.names[(collection,)]) else EVERY
    return "/".join([*(above if keep else ()), collection, name])


def _are_names(texts: Sequence[str]) -> bool:
    return all(_is_name(each, NAME) for each in texts)


def _is_name(text: str, form: re.Pattern[str]) -> bool:
    return len(text) <= NAME_LENGTH_MAX and form.fullmatch(text) is not None


@cache
def _forms(provider: str) -> PatternForms:
    names, nested, parents = {}, {}, set[tuple[str, ...]]()
    for kind in kinds.KINDS.values():
        if kind.provider.name == provider:
            path = tuple(kind.resource(kind.collection).split("/")[::2])
            form = NAME_IN_CATALOGUE if kind.backing is Backing.CATALOGUE else NAME
            names[path] = names[path[-1:]] = form
            nested[path[-1]] = path
            parents |= {path[: n + 1] for n in range(len(path) - 1)}
    return PatternForms(names, frozenset(parents), nested)
