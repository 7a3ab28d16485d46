"""Second events that a caller must find at once, appended before the answer.

If this process dies in between, the resource's reconciler does it before the resource becomes
active. What ever existed in this life is never made again: whoever removed it meant it.
"""

from command.commands import Put
from command.door import Door
from command.handle import handle
from kinds import KINDS
from model.errors import Outdated
from model.events import SYSTEM
from model.shape import Position, Ref, Resource


async def accompany(door: Door, resource: Resource, *, request: str) -> Position | None:
    """Make the companion of a resource, if its kind has one and this life never had it.

    Answers where the companion stands in the log, whoever made it; None where the kind has none.

    Raises:
        Refusal: as `handle`.
    """
    companion = KINDS[resource.ref.kind].companion
    if companion is None:
        return None
    made = companion(resource.ref, resource.spec)
    ref = Ref(made.kind, made.path)
    former = await door.folds.fresh(ref)
    if former is not None and former.life > resource.life:
        return former.position
    try:
        handled = await handle(
            door,
            ref,
            Put(spec=made.spec, expected=0),
            by=SYSTEM,
            request=f"{request}.companion",
            cause=resource.life,
        )
    except Outdated:  # somebody made it meanwhile
        theirs = await door.folds.fresh(ref)
        return theirs.position if theirs else None
    return handled.position
