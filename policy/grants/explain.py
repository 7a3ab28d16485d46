"""Answers of access reviews: why a caller may do something or may not, and which callers may. The
decisions are made by `Policy`."""

import asyncio

from msgspec import UNSET, UnsetType

from secaplane.policy.grants.decision import PolicyDecision
from secaplane.policy.grants.enforcer import mismatches
from secaplane.policy.grants.filters import NAMES_MAX
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import (
    CALLERS_MAX,
    AccessReviewPermission,
    AccessReviewSpec,
    AccessReviewStatus,
    Place,
)
from secaplane.policy.grants.rules import AccessRequest, Rule
from secaplane.policy.tokens.caller import Caller


async def answer(
    policy: Policy, spec: AccessReviewSpec, place: Place, tenant: str
) -> AccessReviewStatus:
    """The status of a review: of one caller, or of all that the tenant's assignments name.

    Raises:
        Unavailable: the policy is stale.
    """
    if isinstance(spec.caller, UnsetType):
        return await allowed_callers(policy, spec.verb, place, tenant)
    groups = () if isinstance(spec.groups, UnsetType) else spec.groups
    caller = Caller("", spec.caller, groups=groups)
    status = explained(policy.explain(caller, spec.verb, *place))
    limits = spec.verb == "list" and not place.view
    rights = policy.filtered(caller, place.kind, place.ids) if limits else None
    if status.allowed or rights is None or rights.names is None:
        return status
    return AccessReviewStatus(
        allowed=len(rights.names) <= NAMES_MAX,
        policy_revision=status.policy_revision,
        names=rights.names[:NAMES_MAX],
        reason=f"the list is limited to resources that may be seen, at most {NAMES_MAX}",
    )


def explained(decision: PolicyDecision) -> AccessReviewStatus:
    revision = str(decision.revision)
    if decision.rule is not None:
        by = _permission(decision.rule)
        return AccessReviewStatus(allowed=True, policy_revision=revision, by=by)
    nearest = tuple(_permission(rule, decision.request) for rule in decision.nearest)
    if nearest:
        reason = f"the nearest permission does not match in: {', '.join(nearest[0].fails or ())}"
    elif decision.named:
        reason = "the assignments that name this caller grant nothing"
    else:
        reason = "no assignment in the tenant names this caller"
    for (assignment, role), why in decision.unbound:
        reason += f"; role {role} of {assignment.name} is not bound: its author does not hold {why}"
    return AccessReviewStatus(
        allowed=False,
        policy_revision=revision,
        nearest=nearest,
        reason=reason,
    )


async def allowed_callers(
    policy: Policy, verb: str, place: Place, tenant: str
) -> AccessReviewStatus:
    """The subs and groups that an assignment of the tenant names and that may do it; `*` stands for
    every authenticated caller.

    Raises:
        Unavailable: the policy is stale.
    """
    revision = str(policy.index.revision(tenant))
    allowed: list[str] = []
    for sub in (EVERY, *policy.index.subjects(tenant)):
        await asyncio.sleep(0)  # other requests are answered between two decisions
        if not policy.allows_uncached(Caller("", sub), verb, *place):
            continue
        if sub == EVERY:
            return AccessReviewStatus(policy_revision=revision, callers=(EVERY,))
        allowed.append(sub)
        if len(allowed) > CALLERS_MAX:
            break
    return AccessReviewStatus(
        policy_revision=revision,
        callers=tuple(allowed[:CALLERS_MAX]),
        more=True if len(allowed) > CALLERS_MAX else UNSET,
    )


def _permission(rule: Rule, request: AccessRequest | None = None) -> AccessReviewPermission:
    assignment, _, role = rule.assignment.partition("/")
    fields = {
        each: getattr(rule, each)
        for each in ("provider", "resource", "verb", "tenant", "region", "workspace")
    }
    return AccessReviewPermission(
        assignment=assignment,
        role=role or UNSET,
        fails=tuple(mismatches(request, rule)) if request else UNSET,
        **fields,
    )
