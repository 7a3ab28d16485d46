"""Why may a caller do something, or why not; and who may. The decision itself is `may`'s."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from model.kind import Kind
from model.shape import Wire
from policy.caller import Caller
from policy.grants import EVERY, Rule
from policy.judge import Asked, failing
from policy.may import Policy, Verdict

CALLERS_MAX = 1_000
AT_ONCE = 10
"""Decisions between two chances for others to run."""


class Permission(Wire, frozen=True):
    """One permission of a role, and where its assignment gives it."""

    assignment: str
    """The role assignment's name, or `configuration` or `everyone`."""
    provider: str
    resource: str
    verb: str
    tenant: str
    region: str
    workspace: str
    role: str | UnsetType = UNSET
    fails: tuple[str, ...] | UnsetType = UNSET
    """In what it does not allow what was asked."""


class Explained(Wire, frozen=True):
    allowed: bool
    policy_revision: int
    by: Permission | UnsetType = UNSET
    nearest: tuple[Permission, ...] | UnsetType = UNSET
    """What would allow it if it fitted in one point more, where nothing allows it."""
    reason: str | UnsetType = UNSET


def explained(verdict: Verdict) -> Explained:
    revision = verdict.revision
    if verdict.rule is not None:
        return Explained(allowed=True, policy_revision=revision, by=_permission(verdict.rule))
    nearest = tuple(_permission(rule, verdict.asked) for rule in verdict.nearest)
    if not nearest:
        reason = "no assignment in the tenant names this caller here"
    else:
        reason = f"the nearest permission does not fit in: {', '.join(_fails(nearest[0]))}"
    return Explained(
        allowed=False,
        policy_revision=revision,
        nearest=nearest,
        reason=reason,
    )


async def who_may(
    policy: Policy, verb: str, kind: Kind, ids: Mapping[str, str], name: str, tenant: str
) -> Sequence[str]:
    """The subs that an assignment of a tenant names and that may do it; `*` stands for every
    authenticated caller.

    Raises:
        Unavailable: the policy is not known.
    """
    found = []
    for n, sub in enumerate(policy.book.subs(tenant)):
        if n % AT_ONCE == 0:
            await asyncio.sleep(0)
        if policy.verdict(Caller("", sub), verb, kind, ids, name).rule is not None:
            found.append(sub)
        if len(found) >= CALLERS_MAX:
            break
    return [EVERY] if EVERY in found else found


def _permission(rule: Rule, asked: Asked | None = None) -> Permission:
    said_by, _, role = rule.assignment.partition("/")
    fields = {
        each: getattr(rule, each)
        for each in ("provider", "resource", "verb", "tenant", "region", "workspace")
    }
    return Permission(
        assignment=said_by,
        role=role or UNSET,
        fails=tuple(failing(asked, rule)) if asked else UNSET,
        **fields,
    )


def _fails(permission: Permission) -> tuple[str, ...]:
    return permission.fails or ()


encode = msgspec.json.Encoder().encode
