"""Other resources that use what a PUT or a DELETE changes, in the rows of the read model.

Before the append the rows as they are count; after it, at a read model that has reached the event,
each other resource as it was at that position.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.compared import (
    Claim,
    Intent,
    claimed_by,
    last_change,
    new_claims,
    root_of,
)
from secaplane.command.rules.context import UseConflict
from secaplane.eventlog.codec import Undecodable
from secaplane.kinds import KINDS
from secaplane.kinds.references import targets_of
from secaplane.model.evolve import fold
from secaplane.model.past import SpecChange
from secaplane.model.position import Position
from secaplane.model.rules import ProposedSpec, UseRule
from secaplane.model.shape import Ref, Resource

CLAIMED = "{} already refers to it: delete or change it first, or refer to another one"

FormerToProposed = Callable[[Resource | None], ProposedSpec]
"""The state before a PUT -> the input of its rules."""


class _Question(NamedTuple):
    """One rule that a PUT asks about other resources."""

    detail: str
    change: SpecChange
    others: AsyncIterator[Sequence[Resource]]
    uses: Callable[[Resource], bool]


async def use_conflicts(
    dependencies: CommandDependencies, intent: Intent, proposed: FormerToProposed
) -> list[tuple[UseConflict, SpecChange]]:
    """The changes that other resources forbid. If the intent is recorded, each of them counts as it
    was at the position of the change.

    Raises:
        LogUnavailable: the log did not answer; whatever the database raises.
    """
    conflicts = list[tuple[UseConflict, SpecChange]]()
    for question in _questions(dependencies, intent, proposed):
        blockers = [
            other.ref
            async for batch in question.others
            for other in batch
            if other.ref != intent.ref and await _counts(dependencies, question, other)
        ]
        if blockers:
            conflicts.append((UseConflict(question.detail, blockers), question.change))
    return conflicts


def _questions(
    dependencies: CommandDependencies, intent: Intent, proposed: FormerToProposed
) -> Iterator[_Question]:
    ref, kind, related = intent.ref, KINDS[intent.ref.kind], dependencies.related
    for rule in kind.rules.in_use:
        change = last_change(intent, rule.fields)
        if change is not None and change.former is not None:  # nothing uses what did not exist
            uses = partial(rule.uses, proposed(change.former))
            yield _Question(rule.detail, change, _others(dependencies, ref, rule), uses)
    region = dependencies.site.region
    for root in {root_of(link.at) for link in kind.exclusive_links}:
        change = last_change(intent, (root,))
        if change is None:
            continue
        old = change.former.spec if change.former else None
        added = [c for c in new_claims(ref, old, intent.spec, region) if root_of(c.at) == root]
        if added:
            others = related.referrers([claim.target for claim in added], [kind.name])
            yield _Question(CLAIMED, change, others, partial(_claims_one_of, added, region))


def _others(
    dependencies: CommandDependencies, ref: Ref, rule: UseRule
) -> AsyncIterator[Sequence[Resource]]:
    if rule.children:
        return dependencies.related.children(ref, rule.children)
    return dependencies.related.referrers([ref], rule.referrers)


def _claims_one_of(added: Sequence[Claim], region: str, other: Resource) -> bool:
    return claimed_by(added, other, region)


async def _counts(dependencies: CommandDependencies, question: _Question, other: Resource) -> bool:
    """True if another resource uses it, and did so before the change. What is being deleted does
    not count."""
    at = question.change.since
    if other.terminating or not question.uses(other):
        return False
    if not at or other.last_intent <= at:
        return True
    return await _as_of_satisfies(dependencies, other.ref, at, question.uses)


async def _as_of_satisfies(
    dependencies: CommandDependencies, ref: Ref, at: Position, uses: Callable[[Resource], bool]
) -> bool:
    """True if a resource was living at a position and used it; one in quarantine counts as the read
    model shows it."""
    try:
        former = await as_of(dependencies, ref, at)
    except Undecodable:
        return True
    return former is not None and not former.terminating and uses(former)


async def earlier_referrers(
    dependencies: CommandDependencies, refs: Sequence[Ref], at: Position
) -> list[Ref]:
    """The resources that block the deletion of one of these, and did so at a position, according to
    a read model that has reached it. What is being deleted does not count.

    Raises:
        LogUnavailable: the log did not answer; whatever the database raises.
    """
    return [
        ref
        for ref in await dependencies.referrers(refs, False)
        if await _as_of_satisfies(dependencies, ref, at, partial(_refers_to_one_of, refs))
    ]


def _refers_to_one_of(refs: Sequence[Ref], other: Resource) -> bool:
    return not targets_of(other.ref, other.spec).isdisjoint(refs)


async def as_of(dependencies: CommandDependencies, ref: Ref, at: Position) -> Resource | None:
    """The living resource as it was at a position; as it is now where that position belongs to
    another stream.

    Raises:
        LogUnavailable: the log did not answer.
        Undecodable: the resource is in quarantine.
    """
    current = await dependencies.cache.current(ref)
    if current is not None and current.position.stream == at.stream and current.position > at:
        history = await dependencies.log.read(ref, up_to=current.position)
        current = fold(each for each in history if each.position <= at)
    return None if current is None or current.gone else current
