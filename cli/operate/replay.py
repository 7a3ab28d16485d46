"""`secaplane replay`: fills an empty database with the read models as they were, or compares the
live rows with what the log gives."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import asyncpg

from secaplane.audit.entry_log import EntryLog
from secaplane.cli.config import Config
from secaplane.cli.operate.audit import printable
from secaplane.cli.operate.progress_lines import ProgressLines
from secaplane.cli.operate.read_models import chosen_groups
from secaplane.cli.processes.connections import connected_log, created_replica, now, with_deadline
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.model.instant import instant_of
from secaplane.model.position import Position, parse_all, written
from secaplane.projector.groups import groups
from secaplane.projector.replay.check import (
    Check,
    Checked,
    IsExpected,
    RowDiffers,
    none_is_expected,
)
from secaplane.projector.replay.comparison import Key
from secaplane.projector.replay.replay import Replayed, replay
from secaplane.projector.replay.target import NotEmpty, ReplayBusy
from secaplane.projector.replay.until import (
    NoSuchPosition,
    Positions,
    at_time,
    entries_at_time,
    named,
)
from secaplane.projector.run import LogGap
from secaplane.projector.sources import Sources
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import NoReadModel

ENTRIES = "entries"
"""The table of the group `activity`; its keys are positions."""
Until = datetime | tuple[Position, ...]
NOT_DONE = (
    NotEmpty,
    ReplayBusy,
    NoReadModel,
    NoSuchPosition,
    LogGap,
    LogUnavailable,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    *tables.SCHEMA_DEFECTS,
    *tables.DATABASE_UNAVAILABLE,
)


def until_of(text: str) -> Until:
    """A time of the past, or positions.

    Raises:
        BadConfig: it is neither.
    """
    try:
        return parse_all(text)
    except ValueError:
        pass
    try:
        time = instant_of(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        example = "2026-01-31T12:00:00Z, or a position such as SECA:73"
        raise BadConfig(f"--until takes a time such as {example}") from error
    if time > now():
        raise BadConfig("--until is a time that is not past yet")
    return time


async def replay_into(config: Config, url: str, until: Until) -> int:
    """Fills an empty database with the read models as they were. Exit status 1 with a reason where
    it is not empty, the log has no such position, or a server is unavailable."""
    text = until.isoformat() if isinstance(until, datetime) else _text(until)
    progress = ProgressLines("replay", sys.stderr)
    try:
        async with with_deadline(connected_log(config)) as (client, events, _):
            entries = EntryLog(client, log_stream=config.nats.stream)
            done = await replay(
                url,
                Sources(events, entries),
                groups(),
                until=text,
                resolve=lambda: _resolved(events, entries, until),
                region=config.site.region,
                report=progress,
            )
    except NOT_DONE as error:
        progress.end()
        return _failed(error)
    progress.end()
    _print_replayed(done)
    return 0


def _text(positions: Iterable[Position]) -> str:
    """In one order, whichever stream was reached first: a replay is resumed by this text."""
    return written(sorted(positions, key=lambda each: each.stream))


async def _resolved(log: Log, entries: EntryLog, until: Until) -> Positions:
    """Without a position in the audit stream, none of its entries is replayed."""
    (audit,) = entries.streams.names
    if isinstance(until, datetime):
        return {**await at_time(log, until), audit: await entries_at_time(entries, until)}
    of_log = await named(log, [each for each in until if each.stream != audit])
    return {**of_log, **{each.stream: each for each in until if each.stream == audit}}


def _print_replayed(done: Replayed) -> None:
    reached = _text(done.positions) or "the beginning of the log"
    print(f"replayed up to {reached}: {done.events:,} events in {done.took_s:.1f} s")
    for ref in done.quarantined:
        print(f"quarantine {ref.kind} {ref.path}: not readable up to there")


async def check_now(config: Config, group_name: str = "") -> int:
    """Compares the live rows of the chosen groups (default: all) with what the log gives, and
    prints each row that differs. Exit status 0 if none does.

    Raises:
        BadConfig: there is no such group, or the database holds another replica.
    """
    chosen, differ = chosen_groups(group_name), 0
    progress = ProgressLines("check", sys.stderr)
    try:
        async with with_deadline(connected_log(config)) as (client, events, _):
            entries = EntryLog(client, log_stream=config.nats.stream)
            sources = Sources(events, entries)
            replica = await created_replica(config)
            for group in chosen:
                check = Check(
                    config.postgres.url,
                    sources.of(group),
                    group,
                    region=config.site.region,
                    report=progress,
                    is_expected=_removed(entries) if group.of_entries else none_is_expected,
                )
                checked = await check.run(partial(_print_difference, progress, group.name))
                progress.end()
                _print_checked(replica.name, checked)
                differ += checked.differ
    except NOT_DONE as error:
        progress.end()
        return _failed(error)
    return 1 if differ else 0


def _removed(entries: EntryLog) -> IsExpected:
    """The audit stream removes entries by its limits, and rows follow a little later."""

    async def removed(table: str, key: Key) -> bool:
        return table == ENTRIES and not await entries.has(key[1])

    return removed


def _print_difference(progress: ProgressLines, group_name: str, found: RowDiffers) -> None:
    progress.end()
    line = f"{group_name}.{found.table} {found.key}: {found.how}"
    print(printable(line), flush=True)


def _print_checked(replica: str, checked: Checked) -> None:
    reached = _text(checked.positions) or "the beginning of an empty log"
    rows = sum(each.rows for each in checked.tables)
    outcome = f"{checked.differ:,} differ" if checked.differ else "all as the log gives them"
    print(
        f"replica {replica}: {checked.read_model} at {reached}: {rows:,} rows, {outcome},"
        f" in {checked.took_s:.1f} s"
    )
    for each in checked.tables:
        print(f"  {each.name}: {each.rows:,} rows, sha256 {each.digest}")


def _failed(error: Exception) -> int:
    reason = str(error) or f"the database or the log did not answer: {type(error).__name__}"
    print(f"secaplane: {reason.splitlines()[0]}", file=sys.stderr)
    return 1
