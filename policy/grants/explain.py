"""Why may a caller do something, or why not; and who may. The decision itself is `may`'s."""

import asyncio

from msgspec import UNSET, UnsetType

from secaplane.policy.grants.enforcer import failing
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.policy import Policy, Verdict
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
    """Of one caller, or of all whom a tenant's assignments name.

    Raises:
        Unavailable: the policy is not known.
    """
    if isinstance(spec.caller, UnsetType):
        return await who_may(policy, spec.verb, place, tenant)
    return explained(policy.verdict(Caller("", spec.caller), spec.verb, *place))


def explained(verdict: Verdict) -> AccessReviewStatus:
    revision = str(verdict.revision)
    if verdict.rule is not None:
        by = _permission(verdict.rule)
        return AccessReviewStatus(allowed=True, policy_revision=revision, by=by)
    nearest = tuple(_permission(rule, verdict.asked) for rule in verdict.nearest)
    if not nearest:
        reason = "no assignment in the tenant names this caller"
    else:
        reason = f"the nearest permission does not fit in: {', '.join(nearest[0].fails or ())}"
    return AccessReviewStatus(
        allowed=False,
        policy_revision=revision,
        nearest=nearest,
        reason=reason,
    )


async def who_may(policy: Policy, verb: str, place: Place, tenant: str) -> AccessReviewStatus:
    """The subs that an assignment of a tenant names and that may do it; `*` stands for every
    authenticated caller.

    Raises:
        Unavailable: the policy is not known.
    """
    revision = str(policy.book.revision(tenant))
    found: list[str] = []
    for sub in (EVERY, *policy.book.subs(tenant)):
        await asyncio.sleep(0)  # others want to be answered, too
        if not policy.surely(Caller("", sub), verb, *place):
            continue
        if sub == EVERY:
            return AccessReviewStatus(policy_revision=revision, callers=(EVERY,))
        found.append(sub)
        if len(found) > CALLERS_MAX:
            break
    return AccessReviewStatus(
        policy_revision=revision,
        callers=tuple(found[:CALLERS_MAX]),
        more=True if len(found) > CALLERS_MAX else UNSET,
    )


def _permission(rule: Rule, asked: AccessRequest | None = None) -> AccessReviewPermission:
    said_by, _, role = rule.assignment.partition("/")
    fields = {
        each: getattr(rule, each)
        for each in ("provider", "resource", "verb", "tenant", "region", "workspace")
    }
    return AccessReviewPermission(
        assignment=said_by,
        role=role or UNSET,
        fails=tuple(failing(asked, rule)) if asked else UNSET,
        **fields,
    )
