"""casbin decides: an enforcer over the rules that can concern what somebody asks."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain, islice
from operator import attrgetter

import casbin

from secaplane.policy.grants.patterns import covers
from secaplane.policy.grants.rules import AccessRequest, Grant, Rule, named

AT_ONCE = 20
"""Rules that casbin is asked of; more only when none of those allows it."""
SHOWN_MAX = 5_000


class GrantEnforcer:
    """What one caller was given in one place, and casbin's word on it."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants: Sequence[Grant] = tuple(grants)
        self.names_items = any(grant.role.names_items for grant in self._grants)

    def rules(self) -> Iterator[Rule]:
        """For who explains: the first so many."""
        every = chain.from_iterable(grant.rules() for grant in self._grants)
        return _once([islice(every, SHOWN_MAX)])

    def allowed_by(self, asked: AccessRequest) -> Rule | None:
        """The rule that allows it; None when none does."""
        fitting = _once(grant.fitting(asked) for grant in self._grants)
        while some := list(islice(fitting, AT_ONCE)):
            allowing = _decided(some, asked)
            if allowing is not None:
                return allowing
        return None


def failing(asked: AccessRequest, rule: Rule) -> list[str]:
    """The points in which a rule does not allow what is asked."""
    points = {
        name: named(getattr(asked, name), getattr(rule, name))
        for name in ("provider", "verb", "tenant", "region", "workspace")
    }
    points["resource"] = covers(asked.flat, asked.nested, rule.resource)
    return [name for name, fits in points.items() if not fits]


def _once(some: Iterable[Iterable[Rule]]) -> Iterator[Rule]:
    known = set[Rule]()
    for rule in chain.from_iterable(some):
        if rule not in known:
            known.add(rule)
            yield rule


def _decided(rules: Iterable[Rule], asked: AccessRequest) -> Rule | None:
    asking = _enforcer()
    asking.model.clear_policy()
    asking.model.add_policies("p", "p", [list(_columns(rule)) for rule in rules])
    allowed, row = asking.enforce_ex(*_fields(asked))
    return Rule(*row) if allowed else None


_fields = attrgetter(*AccessRequest.__struct_fields__)
_columns = attrgetter(*Rule.__struct_fields__)


@cache
def _enforcer() -> casbin.Enforcer:
    """To read the model costs more than to ask it, so all judges of a process ask one enforcer, one
    after the other: nothing here waits while it asks."""
    model = files("secaplane.policy.grants").joinpath("model.conf").read_text()
    made = casbin.Enforcer(casbin.Enforcer.new_model(text=model), enable_log=False)
    made.add_function("named", named)
    made.add_function("covers", covers)
    return made
