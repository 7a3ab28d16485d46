"""May this caller do that? casbin decides, over the rules that name the caller; answers are kept
until the tenant's policy changes."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.errors import Forbidden, Unavailable
from secaplane.model.events import Actor
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.assignments import AssignmentIndex, PolicyResource
from secaplane.policy.grants.enforcer import GrantEnforcer, failing
from secaplane.policy.grants.escalation import too_much
from secaplane.policy.grants.rules import (
    EVERYONE,
    NO_WORKSPACE,
    OPERATOR,
    AccessRequest,
    Grant,
    Rule,
)
from secaplane.policy.tokens.caller import Caller

ANSWERS_MAX = 100_000
"""Kept in all."""
CALLER_GRANTS_MAX = 10_000
KEPT_LENGTH_MAX = 512
"""In characters: of a longer address nothing can exist, so nobody asks for it again."""
SCOPES = ("tenant", "workspace")
"""Kinds whose own name is a dimension of the rules."""
KINDS_OF_POLICY = ("role", "role-assignment")


class CallerGrants:
    """What one caller may in one workspace of one tenant, as of a revision; with the answers that
    were given since."""

    __slots__ = ("answers", "edition", "judge", "revision")

    def __init__(self, grants: Iterable[Grant], revision: Position, edition: int) -> None:
        self.judge = GrantEnforcer(grants)
        self.revision, self.edition = revision, edition
        self.answers: dict[tuple[str, ...], Actor | None] = {}


class Verdict(msgspec.Struct, frozen=True):
    """An answer, and why: the rule that allows it, or those that come nearest."""

    rule: Rule | None
    revision: Position
    asked: AccessRequest
    nearest: Sequence[Rule] = ()


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
        self.revision = BEGINNING
        self.book = AssignmentIndex(region)
        self._region, self._fresh = region, fresh
        self._operators = frozenset(operators)
        self._answers = 0
        self._standings: OrderedDict[tuple[str, str, str, str], CallerGrants] = OrderedDict()

    def may(
        self, caller: Caller, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> Actor:
        """Who is doing it and which assignment allows it: what the event will say.

        Raises:
            Forbidden: nothing allows it. Says the same for what does not exist.
            Unavailable: the policy is not known well enough to say.
        """
        self._refuse_stale()
        own = kind.name in SCOPES
        tenant = ids.get("tenant", name if kind.name == "tenant" else "")
        inside = ids["workspace"] if "workspace" in kind.scope else NO_WORKSPACE
        standing = self._standing(caller, tenant, name if kind.name == "workspace" else inside)
        by_name = own or standing.judge.names_items
        called = name if by_name else str(bool(name))
        key = (verb, kind.name, called, *[ids[each] for each in kind.scope])
        try:
            allowed = standing.answers[key]
        except KeyError:
            rule = standing.judge.allowed_by(self._asked(verb, kind, ids, name))
            allowed = self._by(caller, rule, standing.revision)
            self._keep(standing, key, allowed)
        if allowed is None:
            raise Forbidden(
                "you may not do this here; ask an administrator of the tenant for a role"
            )
        return allowed

    def _keep(self, standing: CallerGrants, key: tuple[str, ...], allowed: Actor | None) -> None:
        if sum(map(len, key)) > KEPT_LENGTH_MAX:
            return
        if self._answers >= ANSWERS_MAX:
            for each in self._standings.values():
                each.answers.clear()
            self._answers = 0
        standing.answers[key] = allowed
        self._answers += 1

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

    def verdict(
        self, caller: Caller, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> Verdict:
        """The same decision as `may`, with its reason. Nothing of it is kept: who asks about others
        shall not push out what those were answered.

        Raises:
            Unavailable: as `may`.
        """
        self._refuse_stale()
        asked = self._asked(verb, kind, ids, name)
        rule = self._rule(caller, asked)
        own = GrantEnforcer(() if rule else self._own(caller, asked.tenant))
        nearest = nearest_to(asked, own.rules())
        return Verdict(rule, self.book.revision(asked.tenant), asked, nearest)

    def surely(
        self, caller: Caller, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> bool:
        """The same decision again, without a reason, and nothing of it is kept.

        Raises:
            Unavailable: as `may`.
        """
        self._refuse_stale()
        return self._rule(caller, self._asked(verb, kind, ids, name)) is not None

    def _rule(self, caller: Caller, asked: AccessRequest) -> Rule | None:
        return GrantEnforcer(self.grants(caller, asked.tenant, asked.workspace)).allowed_by(asked)

    def gives_too_much(self, caller: Caller, ref: Ref, old: Json | None, new: Json) -> str:
        """What a role or an assignment would give away that its author does not hold (CONTRACT: no
        escalation); empty where that is nothing.

        Raises:
            Unavailable: as `may`.
        """
        self._refuse_stale()
        tenant = ref.scope("tenants")
        held = self._anywhere(caller, tenant)
        return too_much(held, ref, self.book.roles(tenant), old, new)

    def begin(self, revision: Position) -> None:
        """Forget everything: what is told next is all there was at that position."""
        self.revision, self.book = revision, AssignmentIndex(self._region)
        self.book.begin(revision)
        self._standings.clear()

    def learn(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        unreadable: Iterable[Ref] = (),
    ) -> None:
        """Take roles and assignments as they now are; what cannot be read grants nothing. What was
        answered before in their tenants counts no longer."""
        if self.revision == BEGINNING:
            self.book.begin(revision)
        for ref in unreadable:
            self.book.forget(ref, revision)
        for each in resources:
            self.book.learn(each, revision)
        self.revision = revision

    def grants(self, caller: Caller, tenant: str, workspace: str) -> Iterator[Grant]:
        """All that this caller, or everyone, is given in a place."""
        yield from self._general(caller)
        if tenant:
            yield from self.book.grants(caller.sub, tenant, workspace)

    def _anywhere(self, caller: Caller, tenant: str) -> Iterator[Grant]:
        yield EVERYONE
        yield from self._own(caller, tenant)

    def _own(self, caller: Caller, tenant: str) -> Iterator[Grant]:
        """What the caller holds anywhere in a tenant, beside what everybody does. Who is an
        operator is no tenant's business."""
        if tenant:
            yield from self.book.grants_anywhere(caller.sub, tenant)
        elif caller.sub in self._operators:
            yield OPERATOR

    def _general(self, caller: Caller) -> Iterator[Grant]:
        """What nobody's assignment says."""
        yield EVERYONE
        if caller.sub in self._operators:
            yield OPERATOR

    def _refuse_stale(self) -> None:
        if not self._fresh():
            raise Unavailable("who may what is not known at the moment; try again")

    def _standing(self, caller: Caller, tenant: str, workspace: str) -> CallerGrants:
        """Kept, unless it is a stranger's: who holds nothing shall not push out who does, whatever
        names of tenants come to mind."""
        edition = self.book.edition(tenant)
        key = (caller.issuer, caller.sub, tenant, workspace)
        standing = self._standings.get(key)
        if standing is not None and standing.edition == edition:
            self._standings.move_to_end(key)
            return standing
        grants = list(self.grants(caller, tenant, workspace))
        standing = CallerGrants(grants, self.book.revision(tenant), edition)
        if not tenant or len(grants) > 1:
            self._standings[key] = standing
            self._standings.move_to_end(key)
            if len(self._standings) > CALLER_GRANTS_MAX:
                self._standings.popitem(last=False)
        return standing

    def _asked(self, verb: str, kind: Kind, ids: Mapping[str, str], name: str) -> AccessRequest:
        """A tenant and a workspace are asked for as what they hold: their own name is the scope.
        Only what a resource lies in counts, whatever else its path names."""
        ids = {each: ids[each] for each in kind.scope}
        nested = kind.resource(f"{kind.collection.format_map(ids)}/{name}".rstrip("/"))
        return AccessRequest(
            provider=kind.provider.name,
            flat="/".join(nested.split("/")[-2 if name else -1 :]),
            nested=nested,
            verb=verb,
            tenant=ids.get("tenant", name if kind.name == "tenant" else ""),
            region=self._region,
            workspace=ids.get("workspace", name if kind.name == "workspace" else NO_WORKSPACE),
        )

    def _by(self, caller: Caller, rule: Rule | None, revision: Position) -> Actor | None:
        if rule is None:
            return None
        return Actor(
            issuer=caller.issuer, sub=caller.sub, assignment=rule.assignment, policy=revision
        )


NEAREST_MAX = 5


def nearest_to(asked: AccessRequest, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that fail in the fewest points, those first that fail in the fewest."""
    ranked = sorted((len(failing(asked, rule)), n, rule) for n, rule in enumerate(rules))
    fewest = ranked[0][0] if ranked else 0
    return [rule for points, _, rule in ranked if points == fewest][:NEAREST_MAX]
