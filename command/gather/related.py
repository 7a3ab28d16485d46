"""What a rule may need to see of other resources, fetched only where one asks."""

from collections.abc import Sequence
from typing import Any

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import CallerRights, load_living
from secaplane.command.gather.quota_usage import quota_usage
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.command.rules.references import asked
from secaplane.kinds import KINDS, blocking_kinds, log_ref, parents
from secaplane.model.kind import Kind
from secaplane.model.shape import Ref


async def load_related(
    dependencies: CommandDependencies,
    ref: Ref,
    command: Command,
    rights: CallerRights,
    inside: Sequence[Ref],
    *,
    from_cache: bool = False,
) -> dict[str, Any]:
    """The fields of a situation that lie outside its resource; `inside` is what lies in it.

    Raises:
        Unanswered: the log cannot say.
    """
    kind, site = KINDS[ref.kind], dependencies.site
    if isinstance(command, Put):
        gathered: dict[str, Any] = {"zones": await _zones(dependencies, kind)}
        if kind.links:
            addresses = asked(ref, command.spec, region=site.region, sees=rights.sees)
            gathered["targets"] = await load_living(dependencies.cache, map(log_ref, addresses))
        gathered["quota"] = await quota_usage(
            dependencies, ref, command.spec, from_cache=from_cache
        )
        return gathered
    if isinstance(command, Delete):
        staying = await _staying(dependencies, inside)
        going_along = [each for each in staying if (kind.name, each.kind) in site.cascades]
        holding = [each for each in (ref, *going_along) if blocking_kinds(KINDS[each.kind])]
        users = await dependencies.referrers(holding, False) if holding else ()
        return {"children": staying, "referrers": users}
    return {"children": inside}


async def _zones(dependencies: CommandDependencies, kind: Kind) -> Sequence[str] | None:
    if not kind.rules.zones:
        return None
    region = await dependencies.cache.recent(Ref("region", f"regions/{dependencies.site.region}"))
    return None if region is None or region.terminating else region.spec["availableZones"]


async def _staying(dependencies: CommandDependencies, inside: Sequence[Ref]) -> Sequence[Ref]:
    """What lies in something that is going already, and goes with it, counts as going."""
    if not dependencies.site.cascades:
        return inside
    above = {
        ref: [each for each in parents(ref) if (each.kind, ref.kind) in dependencies.site.cascades]
        for ref in inside
    }
    takers = {each for some in above.values() for each in some}
    terminating = {
        ref
        for ref, here in (await load_living(dependencies.cache, takers)).items()
        if here and here.terminating
    }
    return [ref for ref in inside if terminating.isdisjoint(above[ref])]
