"""The authorization policy: may this caller do that?

A decision has three parts. The index (`assignments`) yields the grants that concern one caller in
one workspace of one tenant; from these, a few rules that can match the request are made; casbin
(`enforcer`, with the matcher in `model.conf`) decides over these rules. Only casbin allows.

Decisions are cached for each caller and place. Every change of a role or an assignment raises the
`edition` of its tenant; a cached decision of an older edition is never used.

The policy fails closed: while it is not known to be current (`fresh`), nothing is allowed, and the
answer is Unavailable. A role or an assignment that cannot be decoded grants nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice

from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden, Unavailable
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.assignments import AssignmentIndex, PolicyResource
from secaplane.policy.grants.caller_grants import CallerGrants
from secaplane.policy.grants.decision import NEAREST_MAX, Membership, PolicyDecision, nearest_to
from secaplane.policy.grants.enforcer import GrantEnforcer
from secaplane.policy.grants.escalation import Judgement, given_by, judge
from secaplane.policy.grants.filters import (
    NAMES_MAX,
    ListRights,
    candidates,
    lists_workspaces,
    name_of,
)
from secaplane.policy.grants.lives import FormerWorkspaces
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.rules import (
    EVERYONE,
    NO_WORKSPACE,
    OPERATOR,
    AccessRequest,
    Grant,
    Rule,
    viewed,
)
from secaplane.policy.tokens.caller import Caller

CallerPlace = tuple[str, str, tuple[str, ...], str, str]
"""Issuer, sub and groups of a caller, a tenant and a workspace."""
DECISIONS_MAX = 100_000
"""Cached decisions of all callers together."""
CALLER_GRANTS_MAX = 10_000
KEY_LENGTH_MAX = 512
"""Characters of what is cached for a path; no resource has a longer address."""
FILTERS_MAX = 64
"""Cached filters of lists, for each caller and place."""
DENIED = "you may not do this here; ask an administrator of the tenant for a role"
SCOPES = ("tenant", "workspace")
"""Kinds whose own name is a dimension of the rules."""
KINDS_OF_POLICY = ("role", "role-assignment")


class Policy:
    """The roles and assignments of all tenants as of `revision`, a position that never goes back.

    `fresh` says whether the policy was confirmed to be current within the configured time.
    """

    def __init__(
        self,
        *,
        operators: Iterable[str],
        region: str,
        fresh: Callable[[], bool],
    ) -> None:
        self.revision = BEGINNING
        self.former_workspaces = FormerWorkspaces(lambda tenant: self.index.changed(tenant))
        """A subscriber of its own: workspaces may be recorded by another stream."""
        self.index = AssignmentIndex(region, self.former_workspaces)
        self._region, self._fresh = region, fresh
        self._operators = frozenset(operators)
        self._decisions = 0
        self._cached: OrderedDict[CallerPlace, CallerGrants] = OrderedDict()

    # --- decisions

    def authorize(
        self, caller: Caller, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> Actor:
        """The actor that an event of this request names: the caller, and the role assignment that
        allows it. An empty name is the collection.

        Raises:
            Forbidden: nothing allows it; the same for a resource that does not exist.
            Unavailable: the policy is stale.
        """
        self._refuse_stale()
        tenant = ids.get("tenant", name if kind.name == "tenant" else "")
        workspace = ids["workspace"] if "workspace" in kind.scope else NO_WORKSPACE
        grants = self._caller_grants(
            caller, tenant, name if kind.name == "workspace" else workspace
        )
        # Without rules that name single resources, all resources of a collection share a decision.
        by_name = kind.name in SCOPES or grants.enforcer.names_items
        named = name if by_name else str(bool(name))
        key = (verb, kind.name, named, *[ids[each] for each in kind.scope])
        try:
            actor = grants.decisions[key]
        except KeyError:
            rule = grants.enforcer.allowed_by(self._request(verb, kind, ids, name))
            actor = _actor(caller, rule, grants)
            self._cache_decision(grants, key, actor)
        if actor is None:
            raise Forbidden(DENIED)
        return actor

    def authorize_view(
        self, caller: Caller, verb: str, view: str, kind: Kind, ids: Mapping[str, str], name: str
    ) -> Actor:
        """As `authorize`, for a view of a resource (`kinds.views`); its decisions are not cached.

        Raises:
            Forbidden, Unavailable.
        """
        self._refuse_stale()
        request = self._request(verb, kind, ids, name, view)
        grants = self._caller_grants(caller, request.tenant, request.workspace)
        actor = _actor(caller, grants.enforcer.allowed_by(request), grants)
        if actor is None:
            raise Forbidden(DENIED)
        return actor

    def authorize_list(self, caller: Caller, kind: Kind, ids: Mapping[str, str]) -> ListRights:
        """The right to list a collection, perhaps limited to some names. It depends on grants
        alone, never on what exists.

        Raises:
            Forbidden: the caller may see nothing in it, or more single resources than NAMES_MAX.
            Unavailable: the policy is stale.
        """
        with suppress(Forbidden):
            return ListRights(self.authorize(caller, "list", kind, ids))
        rights = self.filtered(caller, kind, ids)
        if rights is None:
            raise Forbidden(DENIED)
        if rights.names is not None and len(rights.names) > NAMES_MAX:
            raise Forbidden(
                f"you may see single resources here, and more than {NAMES_MAX} of them: GET them by"
                " name, or ask an administrator of the tenant for the right to list"
            )
        return rights

    def filtered(self, caller: Caller, kind: Kind, ids: Mapping[str, str]) -> ListRights | None:
        """The names of a collection that a caller may see who may not list all of it, at most
        NAMES_MAX + 1; None where there are none."""
        request = self._request("list", kind, ids, "")
        cached = self._caller_grants(caller, request.tenant, request.workspace)
        if len(request.nested) > KEY_LENGTH_MAX:
            return self._filtered(caller, request, cached)
        if request not in cached.filters:
            if len(cached.filters) >= FILTERS_MAX:
                cached.filters.clear()
            cached.filters[request] = self._filtered(caller, request, cached)
        return cached.filters[request]

    def _filtered(
        self, caller: Caller, request: AccessRequest, grants: CallerGrants
    ) -> ListRights | None:
        enforcer = grants.enforcer
        if lists_workspaces(request):
            enforcer = GrantEnforcer(self._own_grants(caller, request.tenant))
        elif not enforcer.names_items:
            return None
        rules: dict[str, Rule] = {}
        for single in candidates(enforcer.grants, request):
            rule = enforcer.allowed_by(single)
            if rule is not None:
                rules[name_of(request, single)] = rule
            if len(rules) > NAMES_MAX:
                break
        actor = _actor(caller, next(iter(rules.values()), None), grants)
        return None if actor is None else ListRights(actor, tuple(sorted(rules)))

    def allows(self, caller: Caller, verb: str, ref: Ref) -> bool:
        """True if `authorize` would allow it.

        Raises:
            Unavailable: the policy is stale.
        """
        kind = KINDS[ref.kind]
        try:
            self.authorize(caller, verb, kind, kind.ids(ref.path), ref.name)
        except Forbidden:
            return False
        return True

    def allows_uncached(
        self,
        caller: Caller,
        verb: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str = "",
        view: str = "",
    ) -> bool:
        """The decision of `authorize`, made without the cache: an access review of many callers
        must not evict the decisions of active callers.

        Raises:
            Unavailable: the policy is stale.
        """
        self._refuse_stale()
        return self._rule(caller, self._request(verb, kind, ids, name, view)) is not None

    def explain(
        self,
        caller: Caller,
        verb: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str = "",
        view: str = "",
    ) -> PolicyDecision:
        """The decision of `authorize`, or with a view of `authorize_view`, with its reason, made
        without the cache.

        Raises:
            Unavailable: the policy is stale.
        """
        self._refuse_stale()
        request = self._request(verb, kind, ids, name, view)
        rule = self._rule(caller, request)
        revision = self.index.revision(request.tenant)
        if rule is not None:
            return PolicyDecision(rule, revision, request)
        held = GrantEnforcer(self._own_grants(caller, request.tenant))
        return PolicyDecision(
            None,
            revision,
            request,
            nearest_to(request, held.rules()),
            bool(self.index.named((*caller.subjects, EVERY), request.tenant)),
            tuple(islice(self.index.unbound(caller.subjects, request.tenant), NEAREST_MAX)),
        )

    def excess(self, caller: Caller, ref: Ref, old: Json | None, new: Json) -> Judgement:
        """Judges a role or an assignment: the first permission that it would grant although its
        author does not hold it (privilege escalation). What it grants already does not count,
        unless the change adds subs. The judgement is of the policy as it is now, also if it takes
        a while.

        Raises:
            Unavailable: the policy is stale.
        """
        self._refuse_stale()
        tenant, held = ref.scope("tenants"), [EVERYONE]
        held += self._own_grants(caller, tenant)
        if old is not None and ref.kind == "role":
            held += given_by(ref, {}, old)
        elif old is not None and set(new["subs"]) <= set(old["subs"]):
            held += self.index.granted_by(ref)
        return judge(given_by(ref, self.index.roles(tenant), new), held)

    def grants(self, caller: Caller, tenant: str, workspace: str) -> Iterator[Grant]:
        """The grants of a caller in a place: everyone's, an operator's, and those of the tenant's
        assignments that name the caller."""
        yield EVERYONE
        if self._is_operator(caller):
            yield OPERATOR
        if tenant:
            yield from self.index.grants(caller.subjects, tenant, workspace)

    def membership(self, caller: Caller | None, tenant: str) -> Membership:
        """A tenant and a caller for the record of a request; allows nothing. An assignment for
        every caller makes no caller known."""
        subjects = caller.subjects if caller is not None else ()
        known = bool(self.index.named(subjects, tenant)) or not self._operators.isdisjoint(subjects)
        return Membership(self.index.tenant_life(tenant), known, self.index.revision(tenant))

    # --- changes, as the watch passes them on (`policy.watch.PolicySubscriber`)

    def reset(self, revision: Position) -> None:
        self.revision, self.index = revision, AssignmentIndex(self._region, self.former_workspaces)
        self.index.reset(revision)
        self._cached.clear()
        self._decisions = 0

    def update(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        """Take the current state of roles and assignments; one that cannot be decoded grants
        nothing. The cached decisions of their tenants become invalid.

        An update of an older revision arrived late: all of it is known already, and it is ignored.
        """
        if revision < self.revision:
            return
        if self.revision == BEGINNING:
            self.index.reset(revision)
        for ref in undecodable:
            self.index.remove(ref, revision)
        for each in resources:
            self.index.put(each, revision)
        self.revision = revision

    # --- one request

    def _refuse_stale(self) -> None:
        if not self._fresh():
            raise Unavailable("the authorization policy is stale; try again")

    def _request(
        self, verb: str, kind: Kind, ids: Mapping[str, str], name: str, view: str = ""
    ) -> AccessRequest:
        """The request in the terms of the rules. The scope of a tenant or workspace is its own
        name, as for what it contains. Of a path's ids only those of the kind's scope count."""
        ids = {each: ids[each] for each in kind.scope}
        nested = kind.resource(f"{kind.collection.format_map(ids)}/{name}".rstrip("/"))
        request = AccessRequest(
            provider=kind.provider.name,
            flat="/".join(nested.split("/")[-2 if name else -1 :]),
            nested=nested,
            verb=verb,
            tenant=ids.get("tenant", name if kind.name == "tenant" else ""),
            region=self._region,
            workspace=ids.get("workspace", name if kind.name == "workspace" else NO_WORKSPACE),
        )
        return viewed(view, request) if view else request

    def _rule(self, caller: Caller, request: AccessRequest) -> Rule | None:
        grants = self.grants(caller, request.tenant, request.workspace)
        return GrantEnforcer(grants).allowed_by(request)

    def _own_grants(self, caller: Caller, tenant: str) -> Iterator[Grant]:
        """The grants of a caller anywhere in a tenant, without everyone's; outside of tenants, an
        operator's. A tenant's answers do not reveal who is an operator."""
        if tenant:
            yield from self.index.grants_anywhere(caller.subjects, tenant)
        elif self._is_operator(caller):
            yield OPERATOR

    def _is_operator(self, caller: Caller) -> bool:
        return not self._operators.isdisjoint(caller.subjects)

    # --- the cache

    def _caller_grants(self, caller: Caller, tenant: str, workspace: str) -> CallerGrants:
        """Cached, except for a caller without grants in the tenant: such callers can send any
        number of tenant names, and must not evict callers that have grants. Overlong names are not
        cached."""
        edition = self.index.edition(tenant)
        key = (caller.issuer, caller.sub, caller.groups, tenant, workspace)
        cached = self._cached.get(key)
        if cached is not None and cached.edition == edition:
            self._cached.move_to_end(key)
            return cached
        grants = list(self.grants(caller, tenant, workspace))
        groups = self.index.named(caller.groups, tenant)
        current = CallerGrants(grants, self.index.revision(tenant), edition, groups)
        short = len(tenant) + len(workspace) <= KEY_LENGTH_MAX
        if short and (not tenant or len(grants) > 1):
            self._cached[key] = current
            self._cached.move_to_end(key)
            if len(self._cached) > CALLER_GRANTS_MAX:
                self._cached.popitem(last=False)
        return current

    def _cache_decision(
        self, grants: CallerGrants, key: tuple[str, ...], actor: Actor | None
    ) -> None:
        if sum(map(len, key)) > KEY_LENGTH_MAX:
            return
        if self._decisions >= DECISIONS_MAX:
            for each in self._cached.values():
                each.decisions.clear()
            self._decisions = 0
        grants.decisions[key] = actor
        self._decisions += 1


def _actor(caller: Caller, rule: Rule | None, grants: CallerGrants) -> Actor | None:
    """Without the token's id: a decision is cached for all tokens of a caller. Of the groups, only
    those that hold something in the tenant."""
    if rule is None:
        return None
    return Actor(
        issuer=caller.issuer,
        sub=caller.sub,
        groups=grants.groups,
        assignment=rule.assignment,
        policy=grants.revision,
    )
