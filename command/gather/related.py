"""Loading of the related resources that a rule needs, for each command no more than its own."""

from collections.abc import Sequence

from msgspec.structs import replace

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import load_living
from secaplane.command.gather.quota_usage import quota_usage
from secaplane.command.gather.rights import CallerPolicy, readable_blockers, referenced_refs
from secaplane.command.rules.checks import blockers
from secaplane.command.rules.commands import Close, Command, Delete, Put
from secaplane.command.rules.context import CallerRights, DecisionContext
from secaplane.kinds import KINDS, blocking_kinds, log_ref, parents
from secaplane.model.kind import Kind
from secaplane.model.shape import Ref, Resource


async def load_related(
    dependencies: CommandDependencies,
    context: DecisionContext,
    command: Command,
    policy: CallerPolicy | None,
    children: Sequence[Ref],
    *,
    from_cache: bool = False,
) -> DecisionContext:
    """The whole context of a decision, once its resource is loaded; `children` are the resources
    contained in it, as far as the command needs them.

    Raises:
        LogUnavailable: the log did not answer.
        Unavailable: the read model or the policy did not.
    """
    if isinstance(command, Put):
        return await _for_put(dependencies, context, command, policy, from_cache=from_cache)
    if isinstance(command, Delete | Close):
        return await _for_delete(dependencies, context, policy, children)
    return replace(context, site=dependencies.site, children=children)


async def _for_put(
    dependencies: CommandDependencies,
    context: DecisionContext,
    command: Put,
    policy: CallerPolicy | None,
    *,
    from_cache: bool,
) -> DecisionContext:
    ref, kind, site, resource = context.ref, context.kind, dependencies.site, context.resource
    zones = await _zones(dependencies, kind)
    targets: dict[Ref, Resource | None] = {}
    readable: frozenset[Ref] | None = None if policy is None else frozenset()
    if kind.links:
        loaded, readable = referenced_refs(ref, command.spec, region=site.region, policy=policy)
        targets = await load_living(dependencies.cache, map(log_ref, loaded))
    quota = await quota_usage(dependencies, ref, command.spec, from_cache=from_cache)
    old = resource.spec if resource else None
    excess = await policy.excess(ref, old, command.spec) if policy else ""
    rights = CallerRights(readable=readable, excess=excess)
    return replace(context, zones=zones, targets=targets, quota=quota, site=site, rights=rights)


async def _for_delete(
    dependencies: CommandDependencies,
    context: DecisionContext,
    policy: CallerPolicy | None,
    children: Sequence[Ref],
) -> DecisionContext:
    """The referrers are those of the resource and of each child that is deleted with it."""
    kind, site = context.kind, dependencies.site
    staying = children
    if context.damage is None:
        staying = await _not_deleted_with_another(dependencies, children)
    cascading = [each for each in staying if (kind.name, each.kind) in site.cascades]
    blockable = [each for each in (context.ref, *cascading) if blocking_kinds(KINDS[each.kind])]
    referrers = await dependencies.referrers(blockable, False) if blockable else ()
    context = replace(context, children=staying, referrers=referrers, site=site)
    return replace(
        context,
        rights=CallerRights(readable=readable_blockers(blockers(context), policy)),
    )


async def _zones(dependencies: CommandDependencies, kind: Kind) -> Sequence[str] | None:
    if not kind.rules.zones:
        return None
    region = await dependencies.cache.recent(Ref("region", f"regions/{dependencies.site.region}"))
    return None if region is None or region.terminating else region.spec["availableZones"]


async def _not_deleted_with_another(
    dependencies: CommandDependencies, children: Sequence[Ref]
) -> Sequence[Ref]:
    """The children without those whose other parent is being deleted and takes them with it."""
    cascades = dependencies.site.cascades
    if not cascades:
        return children
    above = {
        ref: [parent for parent in parents(ref) if (parent.kind, ref.kind) in cascades]
        for ref in children
    }
    loaded = await load_living(
        dependencies.cache, {each for some in above.values() for each in some}
    )
    terminating = {ref for ref, parent in loaded.items() if parent and parent.terminating}
    return [ref for ref in children if terminating.isdisjoint(above[ref])]
