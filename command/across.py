"""What a rule may need to see of other resources, fetched only where one asks."""

from collections.abc import Sequence
from typing import Any

from command.commands import Command, Delete, Put
from command.door import Door
from command.references import asked, broken_references
from command.situation import Rights, Situation, found
from kinds import KINDS, held, parents, stored, uses
from model.errors import Broken
from model.kind import Kind
from model.shape import Json, Ref


async def across(
    door: Door, ref: Ref, command: Command, rights: Rights, inside: Sequence[Ref]
) -> dict[str, Any]:
    """The fields of a situation that lie outside its resource; `inside` is what
    lies in it.

    Raises:
        Unanswered: the log cannot say.
    """
    kind, site = KINDS[ref.kind], door.site
    if isinstance(command, Put) and kind.links:
        addresses = asked(ref, command.spec, region=site.region, sees=rights.sees)
        targets = await found(door.folds, map(stored, addresses))
        return {"targets": targets, "zones": await _zones(door, kind)}
    if isinstance(command, Put) and kind.zones:
        return {"zones": await _zones(door, kind)}
    if isinstance(command, Delete):
        staying = await _staying(door, inside)
        going_along = [each for each in staying if (kind.name, each.kind) in site.cascades]
        holding = [each for each in (ref, *going_along) if held(KINDS[each.kind])]
        users = await door.users(holding, False) if holding else ()
        return {"inside": staying, "users": users}
    return {"inside": inside}


async def bereft(door: Door, ref: Ref, spec: Json, rights: Rights) -> list[Broken]:
    """The strict references of a spec that is recorded by now and whose targets are not there.

    Raises:
        Unanswered: the log cannot say.
    """
    if not uses(ref, spec):
        return []
    addresses = asked(ref, spec, region=door.site.region, sees=rights.sees)
    targets = await found(door.folds, map(stored, addresses))
    kind = KINDS[ref.kind]
    situation = Situation(
        ref=ref, kind=kind, latest=None, targets=targets, site=door.site, rights=rights
    )
    return list(broken_references(situation, None, spec))


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
