"""casbin decides: an enforcer over the rules that can match one request.

casbin evaluates its matcher (`model.conf`) for each rule, so its cost grows with the number of
rules. `Grant.matching_rules` yields only rules that can match, and those that allow most come
first: usually casbin is asked once, over a few of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain, islice
from operator import attrgetter

import casbin

from secaplane.policy.grants.patterns import covers
from secaplane.policy.grants.rules import AccessRequest, Grant, Rule, matches

BATCH = 20
"""Rules that casbin is asked about at once; about more only if none of these allows the request."""
SHOWN_MAX = 5_000


class GrantEnforcer:
    """The grants of one caller in one place, and casbin's decisions over them."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.grants: Sequence[Grant] = tuple(grants)
        self.names_items = any(grant.role.names_items for grant in self.grants)

    def rules(self) -> Iterator[Rule]:
        """The grants as rules, at most SHOWN_MAX: for explanations."""
        every = chain.from_iterable(grant.rules() for grant in self.grants)
        return _distinct([islice(every, SHOWN_MAX)])

    def allowed_by(self, request: AccessRequest) -> Rule | None:
        """The rule that allows a request; None where none does."""
        matching = _distinct(grant.matching_rules(request) for grant in self.grants)
        while batch := list(islice(matching, BATCH)):
            rule = _enforced(batch, request)
            if rule is not None:
                return rule
        return None


def mismatches(request: AccessRequest, rule: Rule) -> list[str]:
    """The dimensions in which a rule does not allow a request."""
    dimensions = {
        name: matches(getattr(request, name), getattr(rule, name))
        for name in ("provider", "verb", "tenant", "region", "workspace")
    }
    dimensions["resource"] = covers(request.flat, request.nested, rule.resource)
    return [name for name, matched in dimensions.items() if not matched]


def _distinct(groups: Iterable[Iterable[Rule]]) -> Iterator[Rule]:
    seen = set[Rule]()
    for rule in chain.from_iterable(groups):
        if rule not in seen:
            seen.add(rule)
            yield rule


def _enforced(rules: Iterable[Rule], request: AccessRequest) -> Rule | None:
    enforcer = _enforcer()
    enforcer.model.clear_policy()
    enforcer.model.add_policies("p", "p", [list(_columns(rule)) for rule in rules])
    allowed, row = enforcer.enforce_ex(*_fields(request))
    return Rule(*row) if allowed else None


_fields = attrgetter(*AccessRequest.__struct_fields__)
_columns = attrgetter(*Rule.__struct_fields__)


@cache
def _enforcer() -> casbin.Enforcer:
    """Parsing the model costs more than a decision, so a process has one enforcer. It is never used
    by two decisions at once, because no decision awaits anything."""
    model = files("secaplane.policy.grants").joinpath("model.conf").read_text()
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=model), enable_log=False)
    enforcer.add_function("matches", matches)
    enforcer.add_function("covers", covers)
    return enforcer
