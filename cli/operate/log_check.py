"""`secaplane log`: compares the log with its sequence and with everything that is derived from it,
and acknowledges what is lost."""

import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from secaplane.audit.stream import stream_name
from secaplane.cli.config import Config
from secaplane.cli.operate.log_findings import Finding, Stored, cut, findings, holes
from secaplane.cli.processes.connections import (
    ProcessDependencies,
    now,
    process_dependencies,
    with_deadline,
)
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.decoding import address_of
from secaplane.eventlog.losses.holes import Acknowledgement, parse
from secaplane.eventlog.snapshots import KeyValueSnapshots
from secaplane.kinds import KINDS
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.readmodel.questions.positions import (
    history_of,
    names_with_rows,
    newest_row,
    row_names,
)
from secaplane.readmodel.schema.active import NoReadModel, reading
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.tables import Tx

ROWS_BATCH = 512


async def check(config: Config, *, as_json: bool) -> int:
    """Prints what is wrong, one finding a line. Exit status 0 if nothing is.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    count = 0
    async with with_deadline(process_dependencies(config)) as process:
        async for each in _all(process, config):
            count += 1
            print(_json(each) if as_json else f"{each.problem}: {each.place}: {each.detail}")
    if not as_json:
        print(f"{count} findings", file=sys.stderr)
    return 1 if count else 0


def _json(finding: Finding) -> str:
    return msgspec.json.encode(finding._asdict()).decode()


async def _all(process: ProcessDependencies, config: Config) -> AsyncIterator[Finding]:
    log, checkpoints = process.log.inner, await questions.checkpoints(process.pool)
    acknowledged = [each.hole for each in await log.acknowledged()]
    async with _history(config) as history:
        comparison = _Comparison(process, config, history)
        for stream in log.streams.names:
            end = await log.given_up_to(stream)
            for finding in cut(stream, end, checkpoints.get(stream, BEGINNING)):
                yield finding
            async for part in log.positions.scan(stream, up_to=end):
                for finding in holes(part.holes, acknowledged):
                    yield finding
                for finding in await comparison.without_rows(part.subjects):
                    yield finding
        async for ref in row_names(process.pool, batch=ROWS_BATCH):
            for finding in await comparison.of(ref):
                yield finding


@asynccontextmanager
async def _history(config: Config) -> AsyncIterator[Tx | None]:
    """A connection that reads the history; None where there is none yet."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(reading(config.postgres.url, HISTORY))
        except NoReadModel:
            connection = None
        yield connection


class _Comparison:
    """Compares one resource after the other; no more than one is in memory."""

    def __init__(self, process: ProcessDependencies, config: Config, history: Tx | None) -> None:
        self._process, self._history = process, history
        self._without_rows = set[Ref]()
        self._snapshots = KeyValueSnapshots(
            process.nats,
            stream=config.nats.stream,
            region=config.site.region,
            writes=False,
            seals=process.jetstream.seals,
        )

    async def without_rows(self, subjects: Sequence[str]) -> Sequence[Finding]:
        """The resources of some events that no row names, each once."""
        refs = {ref for each in subjects if (ref := address_of(each)).kind in KINDS}
        named = await names_with_rows(self._process.pool, [*refs])
        found = list[Finding]()
        for ref in sorted(refs - named - self._without_rows):
            self._without_rows.add(ref)
            found += await self.of(ref)
        return found

    async def of(self, ref: Ref) -> Sequence[Finding]:
        """The checkpoint is read before the log, and the row after it: what moves meanwhile is not
        a finding."""
        log, pool = self._process.log.inner, self._process.pool
        stream = log.streams.of(ref.kind)
        reached = await questions.checkpoint(pool, stream)
        snapshot, row = await self._snapshots.load(ref), await newest_row(pool, ref)
        history = await history_of(self._history, ref) if self._history is not None else {}
        events = await log.history(ref)
        return [*findings(ref, events, Stored(row, reached, history, snapshot))]


async def acknowledge(config: Config, text: str, reason: str) -> int:
    """Record that a hole stays. Exit status 1 if the log has an event there.

    Raises:
        BadConfig: the text names no hole of this log.
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    try:
        hole = parse(text)
    except ValueError as error:
        raise BadConfig(str(error)) from error
    async with with_deadline(process_dependencies(config)) as process:
        log = process.log.inner
        if hole.stream not in (*log.streams.names, stream_name(config.nats.stream)):
            raise BadConfig(f"{hole.stream} is no stream of this log")
        if not await log.positions.lacks(hole):
            print(f"secaplane: the log has an event in {hole}", file=sys.stderr)
            return 1
        entry = Acknowledgement(hole, getpass.getuser(), now(), reason)
        await log.holes.record(entry, replicas=config.nats.replicas)
    print(f"{hole} is acknowledged: writes and projectors go on without it")
    return 0
