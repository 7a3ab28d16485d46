"""Removes the name of a deleted resource from specs that list it (A-20)."""

from uuid import uuid4

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Release
from secaplane.kinds import KINDS, releasing_kinds
from secaplane.kinds.references import references_in
from secaplane.model.actor import SYSTEM
from secaplane.model.pointer import without
from secaplane.model.shape import Json, Ref, Resource
from secaplane.reconcilers.dependencies import ReconcileDependencies


async def release_referrers(dependencies: ReconcileDependencies, resource: Resource) -> bool:
    """Remove the resource from every spec that lists its name; False if one changed meanwhile."""
    kinds = releasing_kinds(KINDS[resource.ref.kind])
    referrers = await dependencies.commands.named_by(resource.ref, kinds) if kinds else ()
    done = True
    for referrer in referrers:
        async with dependencies.gate:
            done = await _release(dependencies.commands, referrer, resource) and done
    return done


async def _release(dependencies: CommandDependencies, referrer: Ref, gone: Resource) -> bool:
    """Remove the deleted resource from the spec of one referrer; False where the referrer changed
    meanwhile and the caller has to try again.

    Raises:
        LogUnavailable, Unavailable: the log does not answer.
    """
    current = await dependencies.cache.current(referrer)
    if current is None or current.terminating:
        return True
    spec = without_target(current, gone.ref, dependencies.site.region)
    if spec == current.spec:
        return True
    result = await handle(
        dependencies,
        referrer,
        Release(spec=spec, expected=current.version),
        actor=SYSTEM,
        request=f"reconciler-{uuid4().hex}",
        cause=gone.position,
    )
    return result.event is not None


def without_target(current: Resource, gone: Ref, region: str) -> Json:
    """The spec of a resource without the references that are removed with their target."""
    links = [link for link in KINDS[current.ref.kind].links if link.removed_with_target]
    dropping = {link.at for link in links if link.removal is None}
    places = [
        reference.pointer
        for reference in references_in(current.ref, current.spec)
        if reference.links[0].at in dropping and any(ref == gone for _, ref in reference.targets)
    ]
    spec: Json = current.spec
    for place in reversed(places):
        spec = without(spec, place)
    for link in links:
        if link.removal is not None and gone.kind in link.to:
            spec = link.removal(spec, gone, region)
    return spec
