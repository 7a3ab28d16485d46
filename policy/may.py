"""May this caller do that? casbin decides, over the rules that name the caller; answers are kept
until the policy changes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from operator import attrgetter

import casbin
import msgspec

from kinds import KINDS
from model.errors import Forbidden, Unavailable
from model.events import By
from model.kind import Kind
from model.shape import NOWHERE, Position, Ref, Resource
from policy.caller import Caller
from policy.grants import (
    EVERY,
    NO_WORKSPACE,
    Rule,
    assignment_rules,
    everyone_rules,
    operator_rules,
)

ANSWERS_MAX = 100_000
JUDGES_MAX = 1_000
SCOPES = ("tenant", "workspace")
"""Kinds whose own name is a dimension of the rules."""
KINDS_OF_POLICY = ("role", "role-assignment")


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, in casbin's words (`model.conf`)."""

    provider: str
    flat: str
    nested: str
    verb: str
    tenant: str
    region: str
    workspace: str


class Policy:
    """The roles and assignments as of a position, and the answers given since.

    `fresh` says whether that position was known to be the last within the bound; a policy that
    cannot be known answers nothing.
    """

    def __init__(
        self,
        *,
        operators: Iterable[str],
        region: str,
        fresh: Callable[[], bool],
    ) -> None:
        self.revision = NOWHERE
        self._region, self._fresh = region, fresh
        self._operators = frozenset(operators)
        self._roles: defaultdict[str, dict[str, Resource]] = defaultdict(dict)
        self._assignments: dict[Ref, Resource] = {}
        self._named: defaultdict[str, set[Ref]] = defaultdict(set)
        self._answers: dict[tuple[str, ...], By | None] = {}
        self._judges: dict[str, Judge] = {}

    def may(
        self, caller: Caller, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> By:
        """Who is doing it and which assignment allows it: what the event will say.

        Raises:
            Forbidden: nothing allows it. Says the same for what does not exist.
            Unavailable: the policy is not known well enough to say.
        """
        if not self._fresh():
            raise Unavailable("who may what is not known at the moment; try again")
        collection = kind.collection.format_map(ids)
        own = kind.name in SCOPES
        by_name = own or self._names_items(caller)
        who = (caller.issuer, caller.sub)
        key = (*who, verb, kind.name, collection, name if by_name else str(bool(name)))
        if key not in self._answers:
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            self._answers[key] = self._decided(caller, self._asked(verb, kind, ids, name))
        allowed = self._answers[key]
        if allowed is None:
            raise Forbidden(
                "you may not do this here; ask an administrator of the tenant for a role"
            )
        return allowed

    def allows(self, caller: Caller, verb: str, ref: Ref) -> bool:
        """Whether `may` would allow it.

        Raises:
            Unavailable: as `may`.
        """
        kind = KINDS[ref.kind]
        try:
            self.may(caller, verb, kind, kind.ids(ref.path), ref.name)
        except Forbidden:
            return False
        return True

    def _asked(self, verb: str, kind: Kind, ids: Mapping[str, str], name: str) -> Asked:
        """A tenant and a workspace are asked for as what they hold: their own name is the scope.
        Only what a resource lies in counts, whatever else its path names."""
        ids = {each: ids[each] for each in kind.scope}
        nested = kind.resource(f"{kind.collection.format_map(ids)}/{name}".rstrip("/"))
        return Asked(
            provider=kind.provider.name,
            flat="/".join(nested.split("/")[-2 if name else -1 :]),
            nested=nested,
            verb=verb,
            tenant=ids.get("tenant", name if kind.name == "tenant" else ""),
            region=self._region,
            workspace=ids.get("workspace", name if kind.name == "workspace" else NO_WORKSPACE),
        )

    def learn(
        self, resources: Iterable[Resource], revision: Position, *, unreadable: Iterable[Ref] = ()
    ) -> None:
        """Take roles and assignments as they now are; what was answered before is forgotten, and
        what cannot be read grants nothing."""
        for ref in unreadable:
            self._forget(ref)
        for resource in resources:
            if resource.ref.kind == "role":
                self._learn_role(resource)
            else:
                self._learn_assignment(resource)
        self.revision = revision
        self._answers.clear()
        self._judges.clear()

    def _learn_role(self, resource: Resource) -> None:
        """A role that is going grants nothing any more."""
        self._forget(resource.ref)
        if not resource.going:
            self._roles[resource.ref.scope("tenants")][resource.ref.name] = resource

    def _learn_assignment(self, resource: Resource) -> None:
        self._forget(resource.ref)
        if not resource.going:
            self._assignments[resource.ref] = resource
            for sub in resource.spec["subs"]:
                self._named[sub].add(resource.ref)

    def _forget(self, ref: Ref) -> None:
        if ref.kind == "role":
            self._roles[ref.scope("tenants")].pop(ref.name, None)
        former = self._assignments.pop(ref, None)
        for sub in former.spec["subs"] if former else ():
            self._named[sub].discard(ref)

    def _judge(self, caller: Caller) -> "Judge":
        if caller.sub not in self._judges:
            if len(self._judges) >= JUDGES_MAX:
                self._judges.clear()
            self._judges[caller.sub] = Judge(self.rules(caller))
        return self._judges[caller.sub]

    def _names_items(self, caller: Caller) -> bool:
        return self._judge(caller).names_items

    def _decided(self, caller: Caller, asked: Asked) -> By | None:
        assignment = self._judge(caller).allowed_by(asked)
        if assignment is None:
            return None
        return By(
            issuer=caller.issuer,
            sub=caller.sub,
            assignment=assignment,
            policy=self.revision,
        )

    def rules(self, caller: Caller) -> list[Rule]:
        """All rules that name this caller, or everyone."""
        rules = list(everyone_rules())
        if caller.sub in self._operators:
            rules += operator_rules()
        for ref in sorted(self._named[caller.sub] | self._named[EVERY]):
            tenant = ref.scope("tenants")
            assignment = self._assignments[ref]
            roles = {role.ref.name: role.spec for role in self._roles[tenant].values()}
            rules += assignment_rules(tenant, ref.name, assignment.spec, roles)
        return rules


_fields = attrgetter(*Asked.__struct_fields__)
_columns = attrgetter(*Rule.__struct_fields__)


@cache
def _model() -> str:
    return files("policy").joinpath("model.conf").read_text()


class Judge:
    """A casbin enforcer over the rules that name one caller."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        lines = [list(_columns(rule)) for rule in dict.fromkeys(rules)]
        self.names_items = any(_names_item(resource) for _, resource, *_ in lines)
        self._casbin = casbin.Enforcer(casbin.Enforcer.new_model(text=_model()), enable_log=False)
        self._casbin.add_function("named", named)
        self._casbin.add_function("covers", covers)
        self._casbin.add_policies(lines)

    def allowed_by(self, asked: Asked) -> str | None:
        """The assignment and role of the rule that allows it; None when none does."""
        allowed, rule = self._casbin.enforce_ex(*_fields(asked))
        return str(rule[-1]) if allowed else None


def _names_item(pattern: str) -> bool:
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
