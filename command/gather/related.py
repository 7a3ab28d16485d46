"""Loading of the related resources that a rule needs, for each command no more than its own."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import load_living
from secaplane.command.gather.quota_usage import quota_usage
from secaplane.command.gather.rights import CallerPolicy, readable_blockers, referenced_refs
from secaplane.command.gather.uses import use_conflicts
from secaplane.command.rules.checks import blockers
from secaplane.command.rules.commands import Close, Command, Delete, Put
from secaplane.command.rules.compared import Intent, followed_refs, proposed_spec
from secaplane.command.rules.context import CallerRights, DecisionContext, UseConflict
from secaplane.kinds import KINDS, blocking_kinds, log_ref, parents
from secaplane.model.kind import Kind
from secaplane.model.past import SpecChange
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref, Resource


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
        targets = await load_targets(dependencies, ref, map(log_ref, loaded))
    conflicts = await _conflicts(dependencies, context, command.spec, targets)
    readable = _with_blockers(readable, conflicts, policy)
    quota = await quota_usage(dependencies, ref, command.spec, from_cache=from_cache)
    old = resource.spec if resource else None
    excess = await policy.excess(ref, old, command.spec) if policy else ""
    rights = CallerRights(readable=readable, excess=excess)
    return replace(
        context,
        zones=zones,
        targets=targets,
        conflicts=conflicts,
        quota=quota,
        site=site,
        rights=rights,
    )


async def load_targets(
    dependencies: CommandDependencies, ref: Ref, refs: Iterable[Ref]
) -> dict[Ref, Resource | None]:
    """The targets of a resource's references, and the targets of theirs that its rules read.

    Raises:
        LogUnavailable: the log did not answer.
    """
    targets = await load_living(dependencies.cache, refs)
    followed = followed_refs(ref, targets, dependencies.site)
    return targets | await load_living(dependencies.cache, followed) if followed else targets


async def _conflicts(
    dependencies: CommandDependencies,
    context: DecisionContext,
    spec: Json,
    targets: Mapping[Ref, Resource | None],
) -> Sequence[UseConflict]:
    """The uses that forbid a PUT, as the read model shows them now."""
    ref, kind, parents = context.ref, context.kind, context.parents_by_kind
    if not (kind.rules.in_use or kind.exclusive_links):
        return ()
    intent = Intent(ref, spec, BEGINNING, [SpecChange(context.resource, BEGINNING)])
    found = await use_conflicts(
        dependencies,
        intent,
        lambda former: proposed_spec(ref, spec, former, parents, targets, dependencies.site),
    )
    return [conflict for conflict, _ in found]


def _with_blockers(
    readable: frozenset[Ref] | None, conflicts: Sequence[UseConflict], policy: CallerPolicy | None
) -> frozenset[Ref] | None:
    blockers = [ref for conflict in conflicts for ref in conflict.blockers]
    more = readable_blockers(blockers, policy) if blockers else None
    return readable if readable is None or more is None else readable | more


async def _for_delete(
    dependencies: CommandDependencies,
    context: DecisionContext,
    policy: CallerPolicy | None,
    children: Sequence[Ref],
) -> DecisionContext:
    """The referrers are those of the resource and of each child that is deleted with it."""
    site, staying = dependencies.site, children
    if context.damage is None:
        staying = await _not_deleted_with_another(dependencies, children)
    blockable = blockable_refs(dependencies, context.ref, staying)
    referrers = await dependencies.referrers(blockable, False) if blockable else ()
    context = replace(context, children=staying, referrers=referrers, site=site)
    return replace(
        context,
        rights=CallerRights(readable=readable_blockers(blockers(context), policy)),
    )


def blockable_refs(
    dependencies: CommandDependencies, ref: Ref, children: Sequence[Ref]
) -> list[Ref]:
    """The resource and the children that are deleted with it, as far as referrers can block their
    deletion."""
    cascades = dependencies.site.cascades
    deleted = [ref, *(each for each in children if (ref.kind, each.kind) in cascades)]
    return [each for each in deleted if blocking_kinds(KINDS[each.kind])]


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
