"""Application service of access reviews: whether a caller may do something, which assignment allows
it, or why none does; and which callers may. A review records nothing.
"""

from collections.abc import Awaitable, Callable

from msgspec import UnsetType
from msgspec.structs import replace

from secaplane.edge.guard import Guard
from secaplane.edge.requests.context import RequestContext
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid, refuse_broken
from secaplane.policy.grants.explain import answer
from secaplane.policy.grants.patterns import EVERY
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import (
    AccessReview,
    AccessReviewSpec,
    Place,
    broken_subjects_in,
    place,
)
from secaplane.policy.grants.rules import STANDARD
from secaplane.policy.tokens.caller import Caller

ASSIGNMENT = KINDS["role-assignment"]
PolicyOfThen = Callable[[], Awaitable[Policy]]


def admit(guard: Guard, context: RequestContext, caller: Caller, tenant: str) -> bool:
    """Refuse a caller that may ask about no caller of a tenant, before the body is read. True if
    the caller may ask about every one; otherwise only about itself, unless `review` allows more.

    Raises:
        Forbidden, RateLimited, Unavailable.
    """
    if _is_named(guard, caller, tenant):
        return False
    guard.authorize(context, caller, "list", ASSIGNMENT, {"tenant": tenant})
    return True


async def review(
    guard: Guard,
    context: RequestContext,
    caller: Caller,
    tenant: str,
    spec: AccessReviewSpec,
    *,
    about_all: bool = False,
    then: PolicyOfThen | None = None,
) -> AccessReview:
    """Review an access in a tenant. A caller that may list the tenant's role assignments may ask
    about every caller; a caller that one of them names may ask about itself. What is answered is
    the policy of today, or that of `then`; who may ask is decided by that of today.

    Raises:
        Refusal.
    """
    groups = caller.groups if isinstance(spec.groups, UnsetType) else spec.groups
    about_itself = spec.caller == caller.sub and set(groups) <= set(caller.groups)
    if not about_all and not (about_itself and _is_named(guard, caller, tenant)):
        guard.authorize(context, caller, "list", ASSIGNMENT, {"tenant": tenant})
    refuse_broken([*broken_subjects_in(spec)])
    reviewed = place(spec)
    _refuse_outside(reviewed, tenant)
    asked = replace(spec, groups=groups) if about_itself else spec
    policy = guard.policy if then is None else await then()
    return AccessReview(spec=spec, status=await answer(policy, asked, reviewed, tenant))


def _is_named(guard: Guard, caller: Caller, tenant: str) -> bool:
    return bool(guard.policy.index.named((*caller.subjects, EVERY), tenant))


def _refuse_outside(reviewed: Place, tenant: str) -> None:
    """Resources outside any tenant concern only operators, unless the standard shows them to every
    caller."""
    public = reviewed.kind.provider.name.startswith(STANDARD) and not reviewed.view
    shown_to_all = public and not reviewed.tenant
    inside = "tenant" in reviewed.kind.scope and reviewed.tenant == tenant
    if not (inside or shown_to_all):
        raise Invalid(f"is not contained in the tenant {tenant}", pointer="/spec/path")
