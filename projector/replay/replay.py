"""Replay: the read models as they were at a position, in a database of their own, from the log
alone. No plugin is called: rows are made by the projections, which are pure."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from asyncpg import Pool

from secaplane.eventlog.log import Log
from secaplane.model.position import BEGINNING, Position, newest
from secaplane.model.shape import Ref
from secaplane.projector.filling import Filling, filling
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.rebuild import Filled, Report, analyze
from secaplane.projector.replay import target
from secaplane.projector.replay.until import Positions
from secaplane.projector.sources import Sources
from secaplane.readmodel import questions
from secaplane.readmodel.schema import tables


class Replayed(NamedTuple):
    positions: Sequence[Position]
    """In each stream that has events until then."""
    events: int
    """Written by this run; an earlier one may have written others."""
    quarantined: Sequence[Ref]
    """Resources with an event that this release cannot read or apply."""
    took_s: float


async def replay(
    url: str,
    sources: Sources,
    groups: Sequence[ProjectionGroup],
    *,
    until: str,
    resolve: Callable[[], Awaitable[Positions]],
    region: str,
    report: Report = lambda filled: None,
) -> Replayed:
    """Fill an empty database up to the positions that `resolve` answers. A run that was interrupted
    is resumed by the next one with the same `until`, from its checkpoints.

    Raises:
        NotEmpty: the database holds something else.
        ReplayBusy: another process replays into it.
        LogGap: a position is missing in the log.
    """
    began = time.monotonic()
    async with target.exclusive(url, "the replay") as connection:
        schemas = [each.tables for each in groups]
        marked = await target.claim(connection, until, schemas, resolve)
        positions = marked.positions
        async with AsyncExitStack() as stack:
            pools = {}
            for group in groups:
                await tables.prepare(url, group.tables)
                pools[group] = await tables.open_pool(
                    url, schema=group.tables.first, size=1, writes=True
                )
                stack.callback(pools[group].terminate)
            events = 0
            if not marked.finished:
                events = await _filled(sources, pools, positions, region, report)
                for group in groups:
                    await analyze(connection, group.tables.first)
                await target.finish(connection, groups)
            found = {ref for each in pools.values() for ref in await questions.quarantine(each)}
    reached = newest(positions.values())
    return Replayed(reached, events, sorted(found), time.monotonic() - began)


async def _filled(
    sources: Sources,
    pools: dict[ProjectionGroup, Pool],
    positions: Positions,
    region: str,
    report: Report,
) -> int:
    """The number of events that were written, of all streams."""
    fillings = list[Filling]()
    of = sum(each.sequence for each in positions.values())

    def batch_done() -> None:
        report(Filled(_done(fillings), of))

    async with AsyncExitStack() as stack:
        for log, stream, some in _streams(sources, pools):
            opened = filling(log, stream, some, region=region, batch_done=batch_done)
            fillings.append(await stack.enter_async_context(opened))
        before = _done(fillings)
        for each in fillings:
            await each.fill(positions.get(each.stream, BEGINNING))
        return _done(fillings) - before


def _streams(
    sources: Sources, pools: Mapping[ProjectionGroup, Pool]
) -> Iterator[tuple[Log, str, Mapping[ProjectionGroup, Pool]]]:
    """Each stream with the read models that are made from it."""
    for of_entries in (False, True):
        some = {group: pool for group, pool in pools.items() if group.of_entries == of_entries}
        if some:
            log = sources.of(next(iter(some)))
            yield from ((log, stream, some) for stream in log.streams.names)


def _done(fillings: Sequence[Filling]) -> int:
    return sum(each.position.sequence for each in fillings)
