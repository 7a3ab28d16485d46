"""What a plan may need to see beside its resource, fetched before: no more than the case needs."""

from collections.abc import Awaitable, Callable, Mapping

from secaplane.command.companions import companion_of
from secaplane.command.dependencies import Door
from secaplane.command.gather.load import found
from secaplane.command.gather.quota_usage import Over, home, over
from secaplane.command.rules.quotas import limits
from secaplane.command.rules.references import bound, strict_links, there_anyway
from secaplane.kinds import KINDS, children, dropped, held, parents, stored
from secaplane.kinds.references import pointings
from secaplane.model.errors import Unavailable
from secaplane.model.shape import Position, Ref, Resource
from secaplane.plugins import Bound
from secaplane.reconcilers.plan import Surroundings

CAUGHT_UP_S_MAX = 5.0

Family = Callable[[Resource], Awaitable[Mapping[Ref, Resource]]]
"""A resource -> those of its brood that the read model knows not to be gone."""


async def surroundings(
    door: Door, family: Family, resource: Resource | None, news: Position
) -> tuple[Surroundings, Bound]:
    """What a plan looks at, and what the plugin is told of.

    Raises:
        Unanswered, Unavailable: the log, or the read model, cannot say.
    """
    if resource is None:
        return Surroundings(), {}
    kind = KINDS[resource.ref.kind]
    if resource.deleted_at and not resource.gone:
        return await _of_the_going(door, family, resource, news), {}
    if not kind.unfinished(resource) and not kind.follows:
        return Surroundings(), {}
    above = parents(resource.ref)
    pointed = list(pointings(resource.ref, resource.spec, region=door.site.region))
    meant = [stored(ref) for pointing in pointed for _, ref in pointing.means]
    unjudged = kind.counted and resource.seen < resource.intended
    tenant = [home(resource.ref)] if unjudged else []
    here = await found(door.folds, [*above, *meant, *tenant])
    targets: dict[Ref, Resource | None] = {}
    awaited = [ref for ref in above if KINDS[ref.kind].deletable]
    told = {ref.kind: parent for ref in awaited if (parent := here[ref]) and not parent.going}
    for pointing in pointed:
        target = bound(pointing, here)
        if target is not None:
            told[pointing.pointer] = target
        strict = strict_links(pointing, door.site.deferred)
        candidates = [ref for link, ref in pointing.means if link in strict]
        needed = candidates and len(strict) == len(pointing.links)
        if needed and not any(there_anyway(resource.ref, ref) for ref in candidates):
            targets[target.ref if target else stored(candidates[0])] = target
    too_much = await _over(door, resource, here[tenant[0]]) if tenant else None
    shown = {ref: here[ref] for ref in above if ref in awaited or _leaves(here[ref])}
    return Surroundings(parents=shown, targets=targets, over=too_much), told


def _leaves(parent: Resource | None) -> bool:
    """A tenant is there and waited for by nobody; but when it goes, what was put into it goes."""
    return parent is None or parent.going


async def _over(door: Door, resource: Resource, tenant: Resource | None) -> Over | None:
    """What of it is over a quota of its tenant, where that has one."""
    if tenant is None or not limits(tenant.spec, KINDS[resource.ref.kind]):
        return None
    if not await door.reached(resource.position, CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; look again")
    return await over(door, resource)


async def _of_the_going(
    door: Door, family: Family, resource: Resource, news: Position
) -> Surroundings:
    """Who holds it, who lies in it, and who goes with it, as the read model knows at or past its
    last event, and what woke it."""
    ref, kind = resource.ref, KINDS[resource.ref.kind]
    if not (children(kind) or held(kind) or dropped(kind) or kind.brood or kind.companion):
        return Surroundings()
    if not await door.reached(max(resource.position, news), CAUGHT_UP_S_MAX):
        raise Unavailable("the read model is behind; look again")
    inside = [*await door.inside(ref, True)] if children(kind) else []
    ending: list[Ref] = []
    if any((kind.name, each.kind) in door.site.cascades for each in inside):
        staying = await door.inside(ref, False)
        ending = [each for each in staying if (kind.name, each.kind) in door.site.cascades]
    brood = await family(resource)
    inside += brood
    ending += [each for each in reversed(list(brood)) if not brood[each].going]
    companion = await companion_of(door, resource)
    if companion is not None and not companion.gone:
        inside.append(companion.ref)
        ending += [] if companion.going else [companion.ref]
    users = await door.users([ref], True) if held(kind) else ()
    return Surroundings(inside=inside, ending=ending, users=users)
