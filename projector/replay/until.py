"""The position in each stream up to which a replay goes: a position that an operator names, or the
one that the log had reached at a time."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from secaplane.audit.entries import decode
from secaplane.audit.entry_log import EntryLog
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, RawEvent
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position

Positions = Mapping[str, Position]
"""Stream -> position; BEGINNING where nothing of the stream is replayed."""


class NoSuchPosition(ValueError):
    """The log has no such position, or a stream has none named."""


async def ends(log: Log) -> dict[str, Position]:
    return {stream: await log.end(stream) for stream in log.streams.names}


async def named(log: Log, positions: Sequence[Position]) -> Positions:
    """The positions of an operator: one for each stream that has events.

    Raises:
        NoSuchPosition: a stream has none or two, or does not reach it.
    """
    reached = await ends(log)
    chosen = {each.stream: each for each in positions}
    if len(chosen) < len(positions):
        raise NoSuchPosition("a stream is named twice: name one position in each")
    for each in positions:
        if each.stream not in reached:
            raise NoSuchPosition(f"{each} is in no stream of this log: {', '.join(reached)}")
        if each > reached[each.stream]:
            raise NoSuchPosition(f"the log ends at {reached[each.stream]}, before {each}")
    absent = [each for stream, each in reached.items() if each and stream not in chosen]
    if absent:
        ends_at = ",".join(map(str, absent))
        raise NoSuchPosition(
            f"name a position in each stream; not named, with their last ones: {ends_at}"
        )
    return {stream: chosen.get(stream, BEGINNING) for stream in reached}


async def at_time(log: Log, time: datetime) -> Positions:
    """The positions before the first event of each stream that was recorded later than a time.
    Reads each stream up to there: times of different resources may be out of order by what the
    clocks of their writers differ, so that they cannot be searched."""
    return {stream: await _before_first_later(log, stream, time) for stream in log.streams.names}


async def entries_at_time(entries: EntryLog, time: datetime) -> Position:
    """The position before the first entry of the security audit stream that is later."""
    (stream,) = entries.streams.names
    end, reached = await entries.end(stream), BEGINNING
    async with aclosing(entries.follow(stream, after=BEGINNING)) as batches:
        while reached < end:
            for each in await anext(batches):
                if each.position > end or _time(each) > time:
                    return reached
                reached = each.position
    return reached


def _time(entry: RawEvent) -> datetime:
    """The earliest one where the entry cannot be read: it has no row anyway."""
    try:
        return decode(entry.data).time
    except Undecodable:
        return datetime.min.replace(tzinfo=UTC)


async def _before_first_later(log: Log, stream: str, time: datetime) -> Position:
    end, reached = await log.end(stream), BEGINNING
    async with aclosing(log.follow(stream, after=BEGINNING)) as batches:
        while reached < end:
            for each in await anext(batches):
                if each.position > end or (isinstance(each, RecordedEvent) and each.time > time):
                    return reached
                reached = each.position
    return reached
