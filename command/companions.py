"""Second events that a caller must find at once, appended before the answer.

If this process dies in between, the resource's reconciler does it before the resource becomes
active. What ever existed in this life is never made again: whoever removed it meant it.
"""

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Put
from secaplane.kinds import KINDS
from secaplane.model.errors import PreconditionFailed
from secaplane.model.events import RESERVED_SUBS, SYSTEM
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource


async def companion_of(dependencies: CommandDependencies, resource: Resource) -> Resource | None:
    """The companion that this life of a resource has, or had.

    Raises:
        Unanswered: the log cannot say.
    """
    companion = KINDS[resource.ref.kind].owned.companion
    if companion is None:
        return None
    made = companion(resource.ref, resource.spec, "")
    found = await dependencies.cache.current(Ref(made.kind, made.path))
    return found if found is not None and _began_after(found, resource) else None


async def _creator(dependencies: CommandDependencies, resource: Resource) -> str:
    before = resource.life.moved(-1)
    created = await dependencies.log.read(resource.ref, after=before, up_to=resource.life)
    return created[0].sub


async def ensure_companion(
    dependencies: CommandDependencies,
    resource: Resource,
    *,
    request: str,
    creator: str | None = None,
) -> Position | None:
    """Make the companion of a resource, if its kind has one and this life never had it. Who created
    the resource is read from the log where it is not said.

    Answers where the companion stands in the log, whoever made it; None where the kind has none.

    Raises:
        Refusal: as `handle`.
    """
    companion = KINDS[resource.ref.kind].owned.companion
    if companion is None:
        return None
    former = await companion_of(dependencies, resource)
    if former is not None:
        return former.position
    made = companion(resource.ref, resource.spec, creator or await _creator(dependencies, resource))
    if made.spec["subs"] in [[sub] for sub in RESERVED_SUBS]:
        return None
    ref = Ref(made.kind, made.path)
    try:
        handled = await handle(
            dependencies,
            ref,
            Put(spec=made.spec, expected=0),
            actor=SYSTEM,
            request=f"{request}.companion",
            cause=resource.life,
        )
    except PreconditionFailed:  # somebody made it meanwhile
        theirs = await dependencies.cache.current(ref)
        return theirs.position if theirs else None
    return handled.position


def _began_after(one: Resource, other: Resource) -> bool:
    """Positions of two streams have no order; there, the times of the events decide."""
    if one.life.stream == other.life.stream:
        return one.life > other.life
    return one.created_at >= other.created_at
