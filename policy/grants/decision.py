"""A decision with its reason, for access reviews."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from secaplane.model.position import Position
from secaplane.policy.grants.deferred import DeferredRole
from secaplane.policy.grants.enforcer import mismatches
from secaplane.policy.grants.rules import AccessRequest, Rule

NEAREST_MAX = 5


class Membership(NamedTuple):
    """A tenant and a caller, as the policy of this process knows them."""

    tenant_uid: str
    """Of the tenant's life; empty where no role or assignment of the tenant is known."""
    known: bool
    """An assignment names the caller or one of its groups, or the caller is an operator."""
    revision: Position


class PolicyDecision(msgspec.Struct, frozen=True):
    """A decision with its reason: the rule that allows the request, or the nearest rules."""

    rule: Rule | None
    """None: not allowed."""
    revision: Position
    request: AccessRequest
    nearest: Sequence[Rule] = ()
    named: bool = False
    """An assignment of the tenant names a caller that is denied, or one of its groups."""
    unbound: Sequence[tuple[DeferredRole, str]] = ()
    """Deferred roles of a caller that is denied, and why they are not bound."""


def nearest_to(request: AccessRequest, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that mismatch the request in the fewest dimensions, at most NEAREST_MAX."""
    ranked = sorted((len(mismatches(request, rule)), n, rule) for n, rule in enumerate(rules))
    fewest = ranked[0][0] if ranked else 0
    return [rule for count, _, rule in ranked if count == fewest][:NEAREST_MAX]
