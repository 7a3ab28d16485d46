"""The resources that have lost the events of a hole in the log, and what of it no row names."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from secaplane.command.gather.damage import examined
from secaplane.eventlog.log import Log
from secaplane.eventlog.losses.holes import Hole, unknown
from secaplane.model.position import Position
from secaplane.model.shape import Ref


class NamesHoles(Protocol):
    async def named(self, hole: Hole) -> Mapping[Ref, Sequence[int]]:
        """The resources that rows or history show at positions of a hole, each with those
        positions."""
        ...


class Judged(NamedTuple):
    damaged: Mapping[Ref, Hole]
    """Resources that have lost an event, and were not closed since."""
    unnamed: Sequence[Hole]
    """Positions that no row names, and no operator has acknowledged."""


async def judge(log: Log, names: NamesHoles, holes: Sequence[Hole]) -> Judged:
    """Name the resources of some holes, from rows and histories.

    Raises:
        LogUnavailable: the log did not answer; whatever the database raises.
    """
    acknowledged = [each.hole for each in await log.acknowledged()] if holes else []
    damaged, unnamed = dict[Ref, Hole](), list[Hole]()
    for hole in holes:
        named = await names.named(hole)
        known = [Hole(hole.stream, each, each) for some in named.values() for each in some]
        unnamed += unknown([hole], [*known, *acknowledged])
        for ref, positions in named.items():
            if await _has_lost(log, ref, Position(hole.stream, max(positions))):
                damaged[ref] = hole
    return Judged(damaged, unnamed)


async def _has_lost(log: Log, ref: Ref, lost: Position) -> bool:
    """False for a resource that was closed after the event. The leader is asked for the last
    position, because it judges appends; a history may be read from another node, which has all."""
    _, damage = examined(await log.history(ref))
    return damage is not None or await log.last(ref) < lost
