"""What a rule may need to see of other resources, fetched only where one asks."""

from collections.abc import Sequence
from typing import Any

from secaplane.command.dependencies import Door
from secaplane.command.gather.load import Rights, found
from secaplane.command.gather.quota_usage import standing
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.command.rules.references import asked
from secaplane.kinds import KINDS, held, parents, stored
from secaplane.model.kind import Kind
from secaplane.model.shape import Ref


async def across(
    door: Door,
    ref: Ref,
    command: Command,
    rights: Rights,
    inside: Sequence[Ref],
    *,
    believing: bool = False,
) -> dict[str, Any]:
    """The fields of a situation that lie outside its resource; `inside` is what lies in it.

    Raises:
        Unanswered: the log cannot say.
    """
    kind, site = KINDS[ref.kind], door.site
    if isinstance(command, Put):
        seen: dict[str, Any] = {"zones": await _zones(door, kind)}
        if kind.links:
            addresses = asked(ref, command.spec, region=site.region, sees=rights.sees)
            seen["targets"] = await found(door.folds, map(stored, addresses))
        seen["quota"] = await standing(door, ref, command.spec, believing=believing)
        return seen
    if isinstance(command, Delete):
        staying = await _staying(door, inside)
        going_along = [each for each in staying if (kind.name, each.kind) in site.cascades]
        holding = [each for each in (ref, *going_along) if held(KINDS[each.kind])]
        users = await door.users(holding, False) if holding else ()
        return {"inside": staying, "users": users}
    return {"inside": inside}


async def _zones(door: Door, kind: Kind) -> Sequence[str] | None:
    if not kind.zones:
        return None
    region = await door.folds.lately(Ref("region", f"regions/{door.site.region}"))
    return None if region is None or region.going else region.spec["availableZones"]


async def _staying(door: Door, inside: Sequence[Ref]) -> Sequence[Ref]:
    """What lies in something that is going already, and goes with it, counts as going."""
    if not door.site.cascades:
        return inside
    above = {
        ref: [each for each in parents(ref) if (each.kind, ref.kind) in door.site.cascades]
        for ref in inside
    }
    takers = {each for some in above.values() for each in some}
    going = {ref for ref, here in (await found(door.folds, takers)).items() if here and here.going}
    return [ref for ref in inside if going.isdisjoint(above[ref])]
