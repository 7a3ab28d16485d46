"""What only shows once a PUT is recorded: the look after the append.

Before it, a parent was there, and what the spec refers to, and there was room in the quotas; in
between, somebody else may have been faster. Whatever comes after this look sees what is recorded.
"""

from typing import NamedTuple

from secaplane.command.dependencies import Door
from secaplane.command.gather.load import SELDOM, Rights, Situation, found
from secaplane.command.gather.quota_usage import limited, over, taking_back
from secaplane.command.rules.commands import Delete, TakeBack
from secaplane.command.rules.quotas import unsure
from secaplane.command.rules.references import asked, broken_references
from secaplane.kinds import KINDS, parents, stored
from secaplane.kinds.references import uses
from secaplane.model.errors import Conflict, NotFound, Refusal, Unavailable, invalid
from secaplane.model.shape import Position, Resource

COUNTED_S_MAX = 2.0
UNCOUNTED = "it is recorded; whether the quota allows it is not known yet; read it, then try again"
WHOLE = Delete(regardless=True)


class Wrong(NamedTuple):
    """Why something should not have been recorded, how it is taken back, and on whose account."""

    refusal: Refusal
    taken_back: Delete | TakeBack
    cause: Position


async def second_look(
    door: Door, before: Resource | None, now: Resource, rights: Rights
) -> Wrong | None:
    """What is wrong with a PUT that is recorded; `before` is None where it has created. The first
    thing that is wrong is enough: it is taken back for that, and what else is wrong goes with it.

    Raises:
        Unanswered, Unavailable: nobody can say now.
    """
    wrong = None
    if before is None:
        wrong = await _orphan(door, now) or await _bereft(door, now, rights)
    return wrong or await _over(door, before, now)


async def _orphan(door: Door, child: Resource) -> Wrong | None:
    """A parent that was going all the while, or is gone."""
    for parent in parents(child.ref):
        here = await (door.folds.lately if parent.kind in SELDOM else door.folds.fresh)(parent)
        if here is None or here.gone:
            refusal: Refusal = NotFound(f"{parent.kind} {parent.name} does not exist any more")
            return Wrong(refusal, WHOLE, child.position)
        if here.going:
            refusal = Conflict(f"{parent.kind} {parent.name} is being deleted")
            return Wrong(refusal, WHOLE, child.position)
    return None


async def _bereft(door: Door, user: Resource, rights: Rights) -> Wrong | None:
    """What it refers to was there when it was judged. Whatever was deleted in between, before this
    was recorded, has not seen it and waits for nobody; what is deleted after that, waits."""
    ref, spec = user.ref, user.spec
    if not uses(ref, spec):
        return None
    addresses = asked(ref, spec, region=door.site.region, sees=rights.sees)
    targets = await found(door.folds, map(stored, addresses))
    situation = Situation(
        ref=ref, kind=KINDS[ref.kind], latest=None, targets=targets, site=door.site, rights=rights
    )
    broken = list(broken_references(situation, None, spec))
    return Wrong(invalid(broken), WHOLE, user.position) if broken else None


async def _over(door: Door, before: Resource | None, now: Resource) -> Wrong | None:
    """The second look at a tenant's quotas, when everything up to this event is counted."""
    if not await limited(door, now.ref, believing=True) or not unsure(before, now):
        return None
    if not await door.reached(now.position, COUNTED_S_MAX):
        raise Unavailable(UNCOUNTED)
    too_much = await over(door, now)
    if too_much is None:
        return None
    command = await taking_back(door, now, too_much)
    return Wrong(too_much.refusal, command, too_much.position)
