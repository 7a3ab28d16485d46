"""Loads the related resources of a plan: only what the case needs."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from secaplane.command.companions import companion_of
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.elsewhere import (
    ends_elsewhere,
    kinds_elsewhere,
    parent_elsewhere,
)
from secaplane.command.gather.intents import unanswered_intent
from secaplane.command.gather.load import load_living
from secaplane.command.gather.quota_usage import quota_violation, tenant_of
from secaplane.command.post_append import kept_by_children, recheck_deletion, rule_violation
from secaplane.command.rules.commands import Violation
from secaplane.command.rules.compared import broken_compared, followed_refs, proposed_spec
from secaplane.command.rules.context import living
from secaplane.command.rules.quotas import QuotaViolation, limits
from secaplane.command.rules.references import always_exists, bound, strict_links
from secaplane.kinds import KINDS, blocking_kinds, children, log_ref, parents, releasing_kinds
from secaplane.kinds.references import SpecReference, references_in
from secaplane.model.actor import SYSTEM
from secaplane.model.errors import BrokenRule, Unavailable
from secaplane.model.explained import open_drift
from secaplane.model.position import Position, newest
from secaplane.model.shape import SETTLED_STATES, Ref, Resource, State
from secaplane.plugins.plugin import Bound
from secaplane.reconcilers.plan import RelatedResources, never_active

CAUGHT_UP_S_MAX = 5.0

LoadOwned = Callable[[Resource], Awaitable[Mapping[Ref, Resource]]]
"""A resource -> its owned resources that are not gone, according to the read model."""


async def load_related(
    dependencies: CommandDependencies,
    load_owned: LoadOwned,
    resource: Resource | None,
    woken_by: Position,
) -> tuple[RelatedResources, Bound]:
    """The input of a plan, and the bound references for the plugin.

    Raises:
        LogUnavailable, Unavailable: the log or the read model does not answer, or is behind.
    """
    if resource is None:
        return RelatedResources(), {}
    kind = KINDS[resource.ref.kind]
    if resource.deleted_at and not resource.gone:
        return await _of_terminating(dependencies, load_owned, resource, woken_by), {}
    if not (kind.unsettled(resource) or kind.is_dependent or open_drift(resource)):
        return RelatedResources(), {}
    above = parents(resource.ref)
    references = list(references_in(resource.ref, resource.spec, region=dependencies.site.region))
    target_refs = [log_ref(ref) for reference in references for _, ref in reference.targets]
    unchecked = kind.counted and resource.observed_position < resource.last_intent
    tenant = [tenant_of(resource.ref)] if unchecked else []
    loaded = [*above, *target_refs, *tenant]
    current = await load_living(dependencies.cache, loaded, at=resource.position)
    elsewhere = parent_elsewhere(dependencies.log.streams, resource.ref)
    if elsewhere is not None and never_active(resource):
        current[elsewhere] = living(await dependencies.cache.current(elsewhere))
    awaited = [ref for ref in above if KINDS[ref.kind].exposure.deletable]
    shown = {ref: current[ref] for ref in above if ref in awaited or _gone_or_ending(current[ref])}
    over = await _quota_excess(dependencies, resource, current[tenant[0]]) if tenant else None
    violation = await _rule_violation(dependencies, resource)
    read, broken = await _judged(dependencies, resource, current)
    targets, for_plugin = _targets(dependencies, resource.ref, references, current)
    for ref in awaited:
        parent = current[ref]
        if parent is not None and not parent.terminating:
            for_plugin[ref.kind] = parent
    related = RelatedResources(
        parents=shown,
        targets=targets,
        over=over,
        violation=violation,
        read=read,
        broken=broken,
    )
    return related, for_plugin


async def _rule_violation(
    dependencies: CommandDependencies, resource: Resource
) -> Violation | None:
    """The check after the append, once more. References of a creation are waited for instead."""
    intent = None
    if KINDS[resource.ref.kind].is_related:
        intent = await unanswered_intent(dependencies, resource)
    if intent is None:
        return None
    updates = all(change.former is not None for change in intent.changes)
    return await rule_violation(dependencies, intent, resource, None, references=updates)


async def _judged(
    dependencies: CommandDependencies, resource: Resource, current: Mapping[Ref, Resource | None]
) -> tuple[frozenset[Ref], Sequence[BrokenRule]]:
    """The parents and targets that rules read, and what the resource breaks of those rules now that
    they are known. Fields that it had when it was last active are not judged again."""
    ref, spec, site = resource.ref, resource.spec, dependencies.site
    rules = [each for each in KINDS[ref.kind].rules.compared if each.parents or each.targets]
    if not rules or not resource.unsettled:
        return frozenset(), ()
    targets = dict(current)
    for followed in followed_refs(ref, current, site):
        targets[followed] = living(await dependencies.cache.current(followed))
    above = {each.kind: parent for each in parents(ref) if (parent := current[each]) is not None}
    proposed = proposed_spec(ref, spec, None, above, targets, site)
    read = {each.ref for rule in rules for kind in rule.parents if (each := above.get(kind))} | {
        each.ref for rule in rules for at in rule.targets if (each := proposed.targets.get(at))
    }
    broken = list(broken_compared(proposed, rules))
    if broken and not _failed(resource):
        active = (await dependencies.past.read(resource)).active if resource.was_active else None
        former = proposed_spec(ref, spec, active, above, targets, site)
        broken = list(broken_compared(former, rules))
    return frozenset(read), broken


def _failed(resource: Resource) -> bool:
    """True if the last intent that was answered ended in an error."""
    settled = (each.state for each in resource.conditions if each.state in SETTLED_STATES)
    return next(settled, None) is State.ERROR


def _targets(
    dependencies: CommandDependencies,
    ref: Ref,
    references: Iterable[SpecReference],
    current: dict[Ref, Resource | None],
) -> tuple[dict[Ref, Resource | None], dict[str, Resource]]:
    """The targets that must exist, by address; and those that are bound, by pointer."""
    targets, by_pointer = dict[Ref, Resource | None](), dict[str, Resource]()
    for reference in references:
        target = bound(reference, current)
        if target is not None:
            by_pointer[reference.pointer] = target
        required = _required(dependencies, ref, reference)
        if required is not None:
            targets[target.ref if target else required] = target
    return targets, by_pointer


def _required(dependencies: CommandDependencies, ref: Ref, reference: SpecReference) -> Ref | None:
    """The address that a reference needs; None where its target may be absent or always exists."""
    strict = strict_links(ref, reference, dependencies.site.deferred)
    candidates = [target for link, target in reference.targets if link in strict]
    if not candidates or len(strict) < len(reference.links):
        return None
    if any(always_exists(ref, candidate) for candidate in candidates):
        return None
    return log_ref(candidates[0])


def _gone_or_ending(parent: Resource | None) -> bool:
    """A tenant is not waited for; but where it ends, what was created in it is reverted."""
    return parent is None or parent.terminating


async def _quota_excess(
    dependencies: CommandDependencies, resource: Resource, tenant: Resource | None
) -> QuotaViolation | None:
    """The quota of its tenant that the resource exceeds, if the tenant has quotas."""
    if tenant is None or not limits(tenant.spec, KINDS[resource.ref.kind]):
        return None
    if not await dependencies.reached([resource.position], CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; reconcile again")
    return await quota_violation(dependencies, resource)


async def _of_terminating(
    dependencies: CommandDependencies, load_owned: LoadOwned, resource: Resource, woken_by: Position
) -> RelatedResources:
    """Children, owned resources and referrers, from a read model that has reached the resource's
    last event, the event that woke it, and the end of every other stream that records children."""
    ref, kind = resource.ref, KINDS[resource.ref.kind]
    owns = kind.owned.members or kind.owned.companion
    if not (children(kind) or blocking_kinds(kind) or releasing_kinds(kind) or owns):
        return RelatedResources()
    ends = await ends_elsewhere(dependencies.log, kind)
    awaited = newest((resource.position, woken_by, *ends))
    if not await dependencies.reached(awaited, CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; reconcile again")
    if waiting := await _staying_elsewhere(dependencies, resource):
        return waiting
    inside = [*await dependencies.children(ref, True)] if children(kind) else []
    ending: list[Ref] = []
    if any((kind.name, each.kind) in dependencies.site.cascades for each in inside):
        staying = await dependencies.children(ref, False)
        ending = [each for each in staying if (kind.name, each.kind) in dependencies.site.cascades]
    owned = await load_owned(resource)
    inside += owned
    ending += [each for each in reversed(list(owned)) if not owned[each].terminating]
    companion = await companion_of(dependencies, resource)
    if companion is not None and not companion.gone:
        inside.append(companion.ref)
        ending += [] if companion.terminating else [companion.ref]
    referrers = await dependencies.referrers([ref], True) if blocking_kinds(kind) else ()
    violation = await _deletion_violation(dependencies, resource) if referrers or ending else None
    return RelatedResources(
        children=inside, ending=ending, referrers=referrers, violation=violation
    )


async def _staying_elsewhere(
    dependencies: CommandDependencies, resource: Resource
) -> RelatedResources | None:
    """Children that another stream records, and that are not being deleted. One that its reconciler
    has answered was there before the deletion, which therefore does not stand; one that came later
    is reverted by its reconciler. Until then nothing is deleted with the resource."""
    kinds = kinds_elsewhere(dependencies.log.streams, KINDS[resource.ref.kind])
    inside = await dependencies.children(resource.ref, False) if kinds else ()
    staying = [ref for ref in inside if ref.kind in kinds]
    if not staying:
        return None
    past = await dependencies.past.read(resource)
    if past.undeleted is None or past.deleted_by == SYSTEM:
        return RelatedResources(children=staying)
    current = await load_living(dependencies.cache, staying)
    answered = [
        ref
        for ref, child in current.items()
        if child is not None and not (child.unsettled and never_active(child))
    ]
    violation = kept_by_children(past.undeleted, resource, answered) if answered else None
    return RelatedResources(children=staying, violation=violation)


async def _deletion_violation(
    dependencies: CommandDependencies, resource: Resource
) -> Violation | None:
    """The check after the append, once more. A deletion by the control plane itself stands."""
    past = await dependencies.past.read(resource)
    if past.deleted_by == SYSTEM:
        return None
    return await recheck_deletion(dependencies, past.undeleted, resource, None)
