"""Compares the log with its sequence and with the rows, in every process that writes: at the start,
whenever the connection to the log was lost or a stream has another leader, and while something is
wrong. What it finds stops writes (`eventlog.losses.integrity`)."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg
from asyncpg import Pool

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies, retrying
from secaplane.command.gather.holes import judge
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.readmodel.questions.positions import history_between, rows_between
from secaplane.readmodel.schema.active import NoReadModel, reading
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

NAMED_MAX = 10_000
"""Resources that are named for one hole; the positions of more count as not named."""
HOLES_MAX = 1000
RETRY_S = 1.0
UNANSWERED_RETRY_S = 0.1
"""Short: appends wait for the comparison meanwhile."""
IDLE_SHARE = 3
"""Pause after each batch, in times of what it took: users' requests go first."""
UNANSWERED: tuple[type[Exception], ...] = (
    LogUnavailable,
    NoReadModel,
    asyncpg.PostgresError,
    *DATABASE_UNAVAILABLE,
    *CONNECTION_ERRORS,
)
log = logging.getLogger("secaplane.log")


async def compare_log(
    start: Callable[[Coroutine[Any, Any, None]], object],
    process: ProcessDependencies,
    config: Config,
    metrics: Metrics,
) -> None:
    """Compare the end of the log before the first write, and everything in the background."""
    guard = LogGuard(process.log.inner, process.pool, config.postgres.url, metrics)
    await retrying(guard.start, *UNANSWERED, awaited="the end of the log")
    start(guard.run())


class NamingRows:
    """The rows and the history of the read models that this process reads."""

    def __init__(self, pool: Pool, url: str) -> None:
        self._pool, self._url = pool, url

    async def named(self, hole: Hole) -> Mapping[Ref, Sequence[int]]:
        stream, first, last = hole.stream, hole.first, hole.last
        found = dict[Ref, list[int]]()
        for row in await rows_between(self._pool, stream, first, last, limit=NAMED_MAX):
            found.setdefault(row.ref, []).append(row.position.sequence)
        for ref, sequence in await self._in_history(stream, first, last):
            found.setdefault(ref, []).append(sequence)
        return found

    async def _in_history(self, stream: str, first: int, last: int) -> list[tuple[Ref, int]]:
        try:
            async with reading(self._url, HISTORY) as connection:
                return await history_between(connection, stream, first, last, limit=NAMED_MAX)
        except NoReadModel:
            return []


class LogGuard:
    """Tells `LogIntegrity` what the log has lost."""

    def __init__(self, events: JetStreamLog, pool: Pool, url: str, metrics: Metrics) -> None:
        self._log, self._pool, self._names = events, pool, NamingRows(pool, url)
        self._integrity = events.integrity
        self._reported: Sequence[str] = ()
        self._measure(metrics)

    def _measure(self, metrics: Metrics) -> None:
        integrity = self._integrity
        gauge = metrics.gauge("log_missing_events", "Lost events that stop all writes")
        gauge.set_function(lambda: sum(each.count for each in integrity.unnamed))
        gauge = metrics.gauge("log_damaged_resources", "Resources that have lost an event")
        gauge.set_function(lambda: len(integrity.damaged))
        gauge = metrics.gauge("log_cut_streams", "Streams that end before a position they gave")
        gauge.set_function(lambda: len(integrity.cut))

    async def start(self) -> None:
        """Find a log that ends before the rows: one question, before the first write.

        Raises:
            LogUnavailable; whatever the database raises: try again.
        """
        for reached in (await questions.checkpoints(self._pool)).values():
            self._integrity.know(reached)
        await self._log.positions.compare_ends()
        self._integrity.doubt()

    async def run(self) -> None:
        while True:
            comparison = self._integrity.comparing()
            try:
                holes = [
                    hole for name in self._log.streams.names for hole in await self._scan(name)
                ]
                await self._judge(holes, comparison)
            except UNANSWERED:
                await asyncio.sleep(UNANSWERED_RETRY_S)
                continue
            await self._until_doubted(holes, comparison)

    async def _scan(self, stream: str) -> list[Hole]:
        holes, began = list[Hole](), time.monotonic()
        end = await self._log.given_up_to(stream)
        async for part in self._log.positions.scan(stream, up_to=end):
            holes += part.holes
            if len(holes) > HOLES_MAX:
                return [*holes[:HOLES_MAX], Hole(stream, holes[HOLES_MAX].first, end.sequence)]
            took = time.monotonic() - began
            await asyncio.sleep(min(took, RETRY_S) * IDLE_SHARE)
            began = time.monotonic()
        return holes

    async def _judge(self, holes: Sequence[Hole], comparison: int) -> None:
        judged = await judge(self._log, self._names, holes)
        self._integrity.compared(judged.unnamed, judged.damaged, comparison=comparison)
        found = self._integrity.findings
        for each in found:
            if each not in self._reported:
                log.critical("the log has lost events", extra={"reason": each})
        self._reported = found

    async def _until_doubted(self, holes: Sequence[Hole], comparison: int) -> None:
        """While something is wrong, ask every second whether an operator has decided."""
        while not self._integrity.doubted.is_set():
            wrong = holes or self._integrity.cut
            try:
                async with asyncio.timeout(RETRY_S):
                    await self._integrity.doubted.wait()
            except TimeoutError:
                pass
            try:
                positions = self._log.positions
                if positions.reconnected or await positions.led_by_others():
                    await self._log.positions.compare_ends()
                    self._integrity.doubt()
                elif wrong:
                    await self._accept_rebuilt_rows()
                    await self._judge(holes, comparison)
            except UNANSWERED:
                pass

    async def _accept_rebuilt_rows(self) -> None:
        """Rows that do not reach beyond the end of a log that was cut were made from it since: an
        operator has decided to go on with what is left."""
        if not self._integrity.cut:
            return
        checkpoints = await questions.checkpoints(self._pool)
        for stream, (end, _) in self._integrity.cut.items():
            reached = checkpoints.get(stream, end)
            if reached <= end:
                self._integrity.forget(stream, end)
        await self._log.positions.compare_ends()
