"""casbin decides: an enforcer over the rules that concern one caller in one place."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from operator import attrgetter

import casbin
import msgspec

from policy.grants import EVERY, Rule


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, in casbin's words (`model.conf`)."""

    provider: str
    flat: str
    nested: str
    verb: str
    tenant: str
    region: str
    workspace: str


class Judge:
    """The rules of one caller in one place, and casbin's word on them.

    Asked of those rules that are of the provider and the verb in question: all others could not
    match, and each costs time.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[tuple[str, str], dict[Rule, None]] = {}
        self.names_items = False
        for rule in rules:
            self._rules.setdefault((rule.provider, rule.verb.partition(".")[0]), {})[rule] = None
            self.names_items = self.names_items or names_item(rule.resource)

    @property
    def rules(self) -> list[Rule]:
        return [rule for some in self._rules.values() for rule in some]

    def allowed_by(self, asked: Asked) -> Rule | None:
        """The rule that allows it; None when none does."""
        provider, verb = asked.provider, asked.verb.partition(".")[0]
        some = (*self._rules.get((provider, verb), ()), *self._rules.get((provider, EVERY), ()))
        return decided(_shared(), some, asked) if some else None


def failing(asked: Asked, rule: Rule) -> list[str]:
    """The points in which a rule does not allow what is asked."""
    points = {
        name: named(getattr(asked, name), getattr(rule, name))
        for name in ("provider", "verb", "tenant", "region", "workspace")
    }
    points["resource"] = covers(asked.flat, asked.nested, rule.resource)
    return [name for name, fits in points.items() if not fits]


def enforcer() -> casbin.Enforcer:
    """An enforcer of our model, with no rule yet."""
    made = casbin.Enforcer(casbin.Enforcer.new_model(text=_model()), enable_log=False)
    made.add_function("named", named)
    made.add_function("covers", covers)
    return made


def decided(asking: casbin.Enforcer, rules: Iterable[Rule], asked: Asked) -> Rule | None:
    """What an enforcer says of these rules and no others: the one that allows it, if any does."""
    asking.model.clear_policy()
    asking.model.add_policies("p", "p", [list(_columns(rule)) for rule in rules])
    allowed, row = asking.enforce_ex(*_fields(asked))
    return Rule(*row) if allowed else None


@cache
def _shared() -> casbin.Enforcer:
    """To read the model costs more than to ask it, so all judges of a process ask one enforcer, one
    after the other: nothing here waits while it asks."""
    return enforcer()


_fields = attrgetter(*Asked.__struct_fields__)
_columns = attrgetter(*Rule.__struct_fields__)


@cache
def _model() -> str:
    return files("policy").joinpath("model.conf").read_text()


def names_item(pattern: str) -> bool:
    """Also `instances/one/*`, which covers that instance and no other."""
    return "/" in pattern.removesuffix("/*")


def named(asked: str, allowed: str) -> bool:
    """A dimension: the very one, or `*`; and `post` stands for every action."""
    return allowed in (EVERY, asked) or (allowed == "post" and asked.startswith("post."))


def covers(flat: str, nested: str, pattern: str) -> bool:
    """A resource pattern against the flat collection (`subnets/*`, the list too) and the nested
    path (`networks/n/subnets/*`)."""
    if pattern == EVERY:
        return True
    if pattern in (flat, nested):
        return True
    if not pattern.endswith("/*"):
        return False
    stem = pattern[:-2]
    return any(path == stem or path.startswith(f"{stem}/") for path in (flat, nested))
