"""Deferred roles: an assignment may name a role that does not exist yet. Later, the role is bound
(it grants something) only while the assignment's author holds everything that it grants. Pure.

A role is deferred if its life began after its assignment was written, so that it was not judged.
The author may hold something by deferred roles, too; of several that depend on each other, those
are bound that can be reached from grants which need none (the least fixed point).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from secaplane.model.shape import Author, Ref
from secaplane.policy.grants.escalation import TOO_MANY, JudgementSteps, finished, judge
from secaplane.policy.grants.rules import EVERYONE, Grant

TOGETHER_MAX = 64
"""Deferred roles that are judged together; more are not bound."""
STEPS_MAX = 12_000
"""Steps of all judgements after one change of a tenant's policy: some ten milliseconds."""


class DeferredRole(NamedTuple):
    assignment: Ref
    role: str


IsBound = Callable[[DeferredRole], bool]


class AuthoredGrants(Protocol):
    """The assignments of one tenant, as the judgement needs them."""

    def author(self, assignment: Ref) -> Author: ...

    def deferred_roles(self, subjects: Iterable[str]) -> Iterator[DeferredRole]:
        """The deferred roles in all assignments that name a subject, or every caller."""
        ...

    def grants_of(self, deferred: DeferredRole) -> Sequence[Grant]:
        """The grants that it would make."""
        ...

    def held(self, subjects: Iterable[str], is_bound: IsBound) -> Iterator[Grant]:
        """The grants of a caller with these subjects, without deferred roles that are not bound."""
        ...


def reasons(tenant: AuthoredGrants, deferred: DeferredRole) -> dict[DeferredRole, str]:
    """For a deferred role and those that it depends on: why it is not bound, or ""."""
    together = _reachable(tenant, deferred)
    if len(together) > TOGETHER_MAX:
        return {deferred: TOO_MANY}
    found, steps, changed = dict.fromkeys(together, TOO_MANY), JudgementSteps(STEPS_MAX), True
    while changed:
        changed = False
        for each in [each for each in together if found[each]]:
            held = tenant.held(
                _subjects(tenant.author(each.assignment)), lambda one: not found.get(one, "no")
            )
            found[each] = finished(judge(tenant.grants_of(each), [EVERYONE, *held], steps))
            changed = changed or not found[each]
    return found


def _reachable(tenant: AuthoredGrants, deferred: DeferredRole) -> list[DeferredRole]:
    """A deferred role, those by which its author may hold something, and so on."""
    together = {deferred: None}
    rest = [deferred]
    while rest and len(together) <= TOGETHER_MAX:
        author = tenant.author(rest.pop().assignment)
        for each in tenant.deferred_roles(_subjects(author)):
            if each not in together:
                together[each] = None
                rest.append(each)
            if len(together) > TOGETHER_MAX:
                break
    return list(together)


def _subjects(author: Author) -> tuple[str, ...]:
    return (author.sub, *author.groups) if author.sub else ()
