"""Companions: second resources that a caller must find at once, such as the creator's role
assignment. They are appended before the answer.

If this process dies in between, the reconciler of the resource makes the companion before the
resource becomes active. A companion that existed once in this life is not made again: a caller has
deleted it on purpose.
"""

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Delete, Put
from secaplane.kinds import KINDS
from secaplane.model.actor import RESERVED_SUBS, SYSTEM
from secaplane.model.errors import (
    Conflict,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    Unavailable,
)
from secaplane.model.position import Position
from secaplane.model.precondition import ABSENT
from secaplane.model.shape import Ref, Resource


async def companion_of(dependencies: CommandDependencies, resource: Resource) -> Resource | None:
    """The companion of this life of a resource, deleted or not.

    Raises:
        LogUnavailable: the log did not answer.
    """
    companion = KINDS[resource.ref.kind].owned.companion
    if companion is None:
        return None
    made = companion(resource.ref, resource.spec, "")
    existing = await dependencies.cache.current(Ref(made.kind, made.path))
    return existing if existing is not None and _began_after(existing, resource) else None


async def ensure_companion(
    dependencies: CommandDependencies,
    resource: Resource,
    *,
    request: str,
    creator: str | None = None,
) -> Position | None:
    """Make the companion of a resource, if its kind has one and this life never had it. The creator
    is read from the log where it is not given.

    Returns the position of the companion, made now or before; None where the kind has none.

    Raises:
        Refusal: as `handle`.
        LogUnavailable: the log did not answer.
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
        result = await handle(
            dependencies,
            ref,
            Put(spec=made.spec, precondition=ABSENT),
            actor=SYSTEM,
            request=f"{request}.companion",
            cause=resource.life,
        )
    except QuotaExceeded:
        raise
    except (PreconditionFailed, Conflict):
        existing = await dependencies.cache.current(ref)
        if existing is None or existing.gone:
            raise
        if creator is None and existing.terminating and not _began_after(existing, resource):
            raise Unavailable("the companion of the former life is being deleted") from None
        return existing.position  # another process made it meanwhile
    return result.position


async def delete_companion(
    dependencies: CommandDependencies, closed: Resource, *, request: str
) -> Position | None:
    """Delete the companion of a resource whose history was closed: it is not deleted with its owner
    by a reconciler, and a later life of the name gets one of its own.

    Returns the position of the deletion; None where there is nothing to delete.

    Raises:
        LogUnavailable, Unavailable: the log did not answer.
    """
    companion = await companion_of(dependencies, closed)
    if companion is None or companion.terminating:
        return None
    try:
        result = await handle(
            dependencies,
            companion.ref,
            Delete(),
            actor=SYSTEM,
            request=f"{request}.companion",
            cause=closed.position,
        )
    except (Conflict, NotFound):
        return None
    return result.position


async def _creator(dependencies: CommandDependencies, resource: Resource) -> str:
    before = resource.life.moved(-1)
    created = await dependencies.log.read(resource.ref, after=before, up_to=resource.life)
    return created[0].sub


def _began_after(one: Resource, other: Resource) -> bool:
    """Positions of two streams have no order; between them, the times of the events decide."""
    if one.life.stream == other.life.stream:
        return one.life > other.life
    return one.created_at >= other.created_at
