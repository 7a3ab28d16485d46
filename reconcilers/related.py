"""What a plan may need to see beside its resource, fetched before: no more than the case needs."""

from collections.abc import Awaitable, Callable, Mapping

from secaplane.command.companions import companion_of
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import load_living
from secaplane.command.gather.quota_usage import quota_violation, tenant_of
from secaplane.command.rules.quotas import QuotaViolation, limits
from secaplane.command.rules.references import always_exists, bound, strict_links
from secaplane.kinds import KINDS, blocking_kinds, children, log_ref, parents, releasing_kinds
from secaplane.kinds.references import references_in
from secaplane.model.errors import Unavailable
from secaplane.model.position import Position, newest
from secaplane.model.shape import Ref, Resource
from secaplane.plugins import Bound
from secaplane.reconcilers.plan import RelatedResources

CAUGHT_UP_S_MAX = 5.0

LoadOwned = Callable[[Resource], Awaitable[Mapping[Ref, Resource]]]
"""A resource -> those of its brood that the read model knows not to be gone."""


async def load_related(
    dependencies: CommandDependencies, family: LoadOwned, resource: Resource | None, news: Position
) -> tuple[RelatedResources, Bound]:
    """What a plan looks at, and what the plugin is told of.

    Raises:
        Unanswered, Unavailable: the log, or the read model, cannot say.
    """
    if resource is None:
        return RelatedResources(), {}
    kind = KINDS[resource.ref.kind]
    if resource.deleted_at and not resource.gone:
        return await _of_the_going(dependencies, family, resource, news), {}
    if not kind.unsettled(resource) and not kind.is_dependent:
        return RelatedResources(), {}
    above = parents(resource.ref)
    pointed = list(references_in(resource.ref, resource.spec, region=dependencies.site.region))
    meant = [log_ref(ref) for pointing in pointed for _, ref in pointing.targets]
    unjudged = kind.counted and resource.observed_position < resource.last_intent
    tenant = [tenant_of(resource.ref)] if unjudged else []
    here = await load_living(dependencies.cache, [*above, *meant, *tenant])
    targets: dict[Ref, Resource | None] = {}
    awaited = [ref for ref in above if KINDS[ref.kind].exposure.deletable]
    told = {ref.kind: parent for ref in awaited if (parent := here[ref]) and not parent.terminating}
    for pointing in pointed:
        target = bound(pointing, here)
        if target is not None:
            told[pointing.pointer] = target
        strict = strict_links(pointing, dependencies.site.deferred)
        candidates = [ref for link, ref in pointing.targets if link in strict]
        needed = candidates and len(strict) == len(pointing.links)
        if needed and not any(always_exists(resource.ref, ref) for ref in candidates):
            targets[target.ref if target else log_ref(candidates[0])] = target
    too_much = await _over(dependencies, resource, here[tenant[0]]) if tenant else None
    shown = {ref: here[ref] for ref in above if ref in awaited or _leaves(here[ref])}
    return RelatedResources(parents=shown, targets=targets, over=too_much), told


def _leaves(parent: Resource | None) -> bool:
    """A tenant is there and waited for by nobody; but when it goes, what was put into it goes."""
    return parent is None or parent.terminating


async def _over(
    dependencies: CommandDependencies, resource: Resource, tenant: Resource | None
) -> QuotaViolation | None:
    """What of it is over a quota of its tenant, where that has one."""
    if tenant is None or not limits(tenant.spec, KINDS[resource.ref.kind]):
        return None
    if not await dependencies.reached([resource.position], CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; look again")
    return await quota_violation(dependencies, resource)


async def _of_the_going(
    dependencies: CommandDependencies, family: LoadOwned, resource: Resource, news: Position
) -> RelatedResources:
    """Who holds it, who lies in it, and who goes with it, as the read model knows at or past its
    last event, and what woke it."""
    ref, kind = resource.ref, KINDS[resource.ref.kind]
    owns = kind.owned.members or kind.owned.companion
    if not (children(kind) or blocking_kinds(kind) or releasing_kinds(kind) or owns):
        return RelatedResources()
    if not await dependencies.reached(newest((resource.position, news)), CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; look again")
    inside = [*await dependencies.children(ref, True)] if children(kind) else []
    ending: list[Ref] = []
    if any((kind.name, each.kind) in dependencies.site.cascades for each in inside):
        staying = await dependencies.children(ref, False)
        ending = [each for each in staying if (kind.name, each.kind) in dependencies.site.cascades]
    owned = await family(resource)
    inside += owned
    ending += [each for each in reversed(list(owned)) if not owned[each].terminating]
    companion = await companion_of(dependencies, resource)
    if companion is not None and not companion.gone:
        inside.append(companion.ref)
        ending += [] if companion.terminating else [companion.ref]
    users = await dependencies.referrers([ref], True) if blocking_kinds(kind) else ()
    return RelatedResources(children=inside, ending=ending, referrers=users)
