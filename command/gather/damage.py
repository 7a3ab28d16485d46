"""The context of a command about a resource whose history cannot be read."""

from collections.abc import Sequence

from secaplane.command.gather.load import load
from secaplane.command.rules.commands import Close, Delete
from secaplane.command.rules.context import Damage, DecisionContext
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.decoding import remaining
from secaplane.eventlog.log import Followed, Log, UndecodableEvent
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds import KINDS
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource


async def load_perhaps_damaged(
    log: Log, cache: ResourceCache, ref: Ref, command: Delete | Close
) -> DecisionContext:
    """The resource for a command that closes it if its history cannot be read.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if isinstance(command, Close):
        return await load_damaged(log, ref, command.since)
    try:
        return await load(cache, ref)
    except Undecodable:
        return await load_damaged(log, ref)


async def load_damaged(log: Log, ref: Ref, since: Position = BEGINNING) -> DecisionContext:
    """The resource before the first event that cannot be decoded or applied, or that a read model
    leaves out (`since`), and what that event begins.

    Raises:
        LogUnavailable: the log did not answer.
    """
    latest, damage = examined(await log.history(ref), since)
    return DecisionContext(ref=ref, kind=KINDS[ref.kind], latest=latest, damage=damage)


def examined(
    history: Sequence[Followed], since: Position = BEGINNING
) -> tuple[Resource | None, Damage | None]:
    """Pure."""
    resource: Resource | None = None
    events = remaining(history)
    for n, each in enumerate(events):
        reason = "a read model leaves it out" if since and each.position >= since else ""
        if isinstance(each, UndecodableEvent):
            reason = each.reason
        elif not reason:
            try:
                resource = evolve(resource, each)
            except (AssertionError, KeyError, TypeError, ValueError) as error:
                reason = f"{type(error).__name__}: {error}"
        if reason:
            return resource, Damage(
                position=events[-1].position,
                since=each.position,
                left_out=len(events) - n,
                foreign=all(isinstance(e, UndecodableEvent) and e.foreign for e in events[n:]),
                reason=reason,
            )
    return resource, None
