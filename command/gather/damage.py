"""The context of a command about a resource whose history cannot be read."""

from collections.abc import Sequence

from msgspec.structs import replace

from secaplane.command.gather.load import load
from secaplane.command.rules.commands import Close, Delete
from secaplane.command.rules.context import Damage, DecisionContext
from secaplane.eventlog.codec import EventMissing, Undecodable
from secaplane.eventlog.decoding import CANNOT_APPLY, remaining
from secaplane.eventlog.log import Followed, Log, UndecodableEvent
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds import KINDS
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource


async def load_perhaps_damaged(
    log: Log, cache: ResourceCache, ref: Ref, command: Delete | Close
) -> DecisionContext:
    """The resource for a command that closes it if its history cannot be read.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if isinstance(command, Close):
        return await load_damaged(log, ref, command.since, command.version)
    try:
        return await load(cache, ref)
    except EventMissing as error:
        known = error.known
        if known is None:
            return await load_damaged(log, ref)
        return await load_damaged(log, ref, known.position, known.version)
    except Undecodable:
        return await load_damaged(log, ref)


async def load_damaged(
    log: Log, ref: Ref, since: Position = BEGINNING, version: int = 0
) -> DecisionContext:
    """The resource before the first event that cannot be decoded or applied, that a read model
    leaves out, or that the log has lost (`since`), and what that event begins. `version` is the
    greatest one that a reader has seen, where it is known.

    Raises:
        LogUnavailable: the log did not answer.
    """
    last = await log.last(ref)
    latest, damage = examined(await log.history(ref), since)
    if damage is not None:
        # a server that has lost the last event of a subject expects none to be there
        damage = replace(damage, version=version, position=damage.position if last else BEGINNING)
    return DecisionContext(ref=ref, kind=KINDS[ref.kind], latest=latest, damage=damage)


def examined(
    history: Sequence[Followed], since: Position = BEGINNING
) -> tuple[Resource | None, Damage | None]:
    """Pure."""
    resource: Resource | None = None
    events = remaining(history, BEGINNING)
    for n, each in enumerate(events):
        reason = "a read model leaves it out" if since and each.position >= since else ""
        if isinstance(each, UndecodableEvent):
            reason = each.reason
        elif not reason:
            try:
                resource = evolve(resource, each)
            except CANNOT_APPLY as error:
                reason = reason_of(error)
        if reason:
            return resource, Damage(
                position=events[-1].position,
                since=each.position,
                left_out=len(events) - n,
                foreign=all(isinstance(e, UndecodableEvent) and e.foreign for e in events[n:]),
                missing=isinstance(each, UndecodableEvent) and bool(each.missing),
                reason=reason,
            )
    if since:  # the last event is lost
        return resource, Damage(
            position=events[-1].position if events else BEGINNING,
            since=since,
            left_out=0,
            foreign=False,
            missing=True,
            reason=f"event {since} of the resource is missing in the log",
        )
    return resource, None
