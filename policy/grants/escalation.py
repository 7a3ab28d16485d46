"""No privilege escalation: a role or an assignment may grant only what its author holds
(docs/reference/api.md). Pure.

A role is judged as if it were assigned in its whole tenant, so that the order in which a role and
its assignment are written does not matter.

A judgement is a generator: it yields after SLICE steps, so that a process can answer other requests
meanwhile. Its cost is linear in the patterns that are given and held.
"""

import asyncio
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT, VIEWS
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.patterns import EVERY, including
from secaplane.policy.grants.rules import (
    Grant,
    Role,
    assignment_grants,
    assignment_scopes,
    dimension_of,
)
from secaplane.policy.grants.system_roles import ALL

SLICE = 250
"""Steps between two pauses of a judgement: a few milliseconds."""
STEPS_MAX = 100_000
"""Steps of one judgement; one that needs more is refused."""
TOO_MANY = "more at once than can be judged; split it"

Judgement = Generator[None, None, str]
"""Returns the first permission that exceeds the author's; empty where there is none."""


class _TooManySteps(Exception):
    pass


class JudgementSteps:
    """Counts the work of one judgement, or of several together."""

    def __init__(self, number: int = STEPS_MAX) -> None:
        self._left, self._worked = number, 0

    def due(self, work: int = 1) -> bool:
        """Count one step, which is as much work as some; true if a pause is due."""
        self._left -= 1
        self._worked += work
        if self._left < 0:
            raise _TooManySteps
        if self._worked < SLICE:
            return False
        self._worked = 0
        return True


def judge(
    given: Sequence[Grant], held: Iterable[Grant], steps: JudgementSteps | None = None
) -> Judgement:
    """Judges grants by those that their author holds."""
    steps = steps or JudgementSteps()
    try:
        author = _HeldGrants()
        for each in held:
            yield from author.add(each, steps)
        for grant in given:
            excess = yield from author.excess_of(grant, steps)
            if excess:
                return excess
        return ""
    except _TooManySteps:
        return TOO_MANY


def finished(judgement: Judgement) -> str:
    """The result of a judgement, without pauses."""
    while True:
        try:
            next(judgement)
        except StopIteration as result:
            excess: str = result.value
            return excess


async def in_slices(judgement: Judgement) -> str:
    """The result of a judgement; other tasks run at its pauses."""
    while True:
        try:
            next(judgement)
        except StopIteration as result:
            excess: str = result.value
            return excess
        await asyncio.sleep(0)


def given_by(ref: Ref, roles: Mapping[str, Role], spec: Json) -> list[Grant]:
    """The grants that a role or an assignment makes; `roles` are the tenant's."""
    tenant = ref.scope("tenants")
    if ref.kind == "role":
        return [Grant(Role(spec), tenant, ({},), "")]
    scopes = assignment_scopes(tenant, spec)
    return list(assignment_grants(tenant, "", spec, roles, scopes))


class _Place(NamedTuple):
    region: str
    workspace: str

    @property
    def text(self) -> str:
        return self.workspace if self.workspace != EVERY else "every workspace"


WHOLE_TENANT = _Place(EVERY, EVERY)
Verbs = dict[str, dict[str, set[str]]]
"""Verbs by provider and pattern."""


class _HeldGrants:
    """The author's grants. All roles that are held in one place count together; places with the
    same roles share one table of verbs."""

    def __init__(self) -> None:
        self._by_workspace = defaultdict[str, dict[tuple[int, tuple[str, ...]], Role]](dict)
        self._tables: dict[frozenset[int], Verbs] = {}
        self._judged: dict[tuple[int, frozenset[int]], str] = {}

    def add(self, grant: Grant, steps: JudgementSteps) -> Generator[None, None, None]:
        for scope in grant.scopes:
            regions = tuple(dimension_of(scope, "regions"))
            for workspace in dimension_of(scope, "workspaces"):
                self._by_workspace[workspace][id(grant.role), regions] = grant.role
                if steps.due():
                    yield

    def excess_of(self, grant: Grant, steps: JudgementSteps) -> Judgement:
        """An author who holds all of a role in the whole tenant may assign it in any part of it."""
        if not (yield from self._excess_in(WHOLE_TENANT, grant.role, steps)):
            return ""
        for place in _places(grant):
            excess = yield from self._excess_in(place, grant.role, steps)
            if excess:
                return f"{excess} in {place.text}"
        return ""

    def _excess_in(self, place: _Place, role: Role, steps: JudgementSteps) -> Judgement:
        held: dict[int, Role] = {}
        for workspace in {EVERY, place.workspace}:
            for (_, regions), each in self._by_workspace.get(workspace, {}).items():
                if steps.due():
                    yield
                if EVERY in regions or place.region in regions:
                    held[id(each)] = each
        key = frozenset(held)
        if (id(role), key) not in self._judged:
            table = yield from self._table(key, held.values(), steps)
            self._judged[id(role), key] = yield from _first_excess(role, table, steps)
        return self._judged[id(role), key]

    def _table(
        self, key: frozenset[int], roles: Iterable[Role], steps: JudgementSteps
    ) -> Generator[None, None, Verbs]:
        if key not in self._tables:
            table: Verbs = {}
            for role in roles:
                for (provider, pattern), verbs in role.verbs.items():
                    table.setdefault(provider, {}).setdefault(pattern, set()).update(verbs)
                    if steps.due():
                        yield
            self._tables[key] = table
        return self._tables[key]


def _first_excess(role: Role, table: Verbs, steps: JudgementSteps) -> Judgement:
    for (provider, pattern), verbs in role.verbs.items():
        held = table.get(provider, {})
        for single in _single_patterns(provider, pattern):
            if steps.due(len(verbs)):
                yield
            missing = _missing_verb(
                verbs, [held[each] for each in including(single) if each in held]
            )
            if missing:
                return f"{missing} on {provider} {single}"
    return ""


def _missing_verb(verbs: Iterable[str], held: Sequence[Set[str]]) -> str:
    """A verb that is in none of the sets; an author who holds each verb, by whichever role, holds
    all."""
    for verb in verbs:
        for single in ALL if verb == EVERY else (verb,):
            covering = {EVERY, single, single.partition(".")[0]}
            if all(covering.isdisjoint(each) for each in held):
                return single
    return ""


def _places(grant: Grant) -> Iterator[_Place]:
    for scope in grant.scopes:
        for region in dimension_of(scope, "regions"):
            for workspace in dimension_of(scope, "workspaces"):
                yield _Place(region, workspace)


def _single_patterns(provider: str, pattern: str) -> Sequence[str]:
    """Patterns of one collection each. Collections that are not served grant nothing."""
    served = _SERVED.get(provider, ())
    if pattern == EVERY:
        return [f"{name}/*" for name in served]
    return [pattern] if pattern.partition("/")[0] in served else []


_SERVED = {
    kind.provider.name: tuple(
        each.collection.rpartition("/")[2]
        for each in KINDS.values()
        if each.provider is kind.provider
    )
    for kind in KINDS.values()
} | {AUDIT.name: VIEWS}
"""Provider -> the names of its collections, or of its views."""
