"""Health of NATS and PostgreSQL as a process sees them, checked every second."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from asyncpg import Pool

from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.model.position import Position
from secaplane.readmodel import questions
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

CHECK_INTERVAL_S = 1.0
ANSWER_S_MAX = 2.0
SILENT_S_MAX = 3.0


class HealthProbe:
    """Measures the lag of the projection, the resources in quarantine, and the time since each of
    the two servers answered."""

    def __init__(
        self,
        log: Log,
        pool: Pool,
        position: Callable[[str], Position],
        metrics: Metrics,
        know: Callable[[Position], object] = lambda end: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`know` is called with each end of the log that was read."""
        self._log, self._pool, self._position, self._clock = log, pool, position, clock
        self._know = know
        self._log_answered = self._pool_answered = clock()
        self.lag = self.quarantined = 0
        gauges = {
            "projection_lag_events": ("Events in the log that are not projected", lambda: self.lag),
            "quarantined_resources": ("Resources in quarantine", lambda: self.quarantined),
        }
        for name, (help_text, value) in gauges.items():
            metrics.gauge(name, help_text).set_function(value)
        positions = metrics.labelled_gauge(
            "projection_position", "Sequence of the last projected event of a stream", "stream"
        )
        for stream in log.streams.names:
            positions.labels(stream).set_function(partial(self._sequence, stream))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_log())
            group.create_task(self._check_database())

    @property
    def reasons(self) -> list[str]:
        """Servers that are unavailable; the process is not ready then."""
        answered = {"the log": self._log_answered, "the database": self._pool_answered}
        late = self._clock() - SILENT_S_MAX
        return [f"{server} is unavailable" for server, when in answered.items() if when < late]

    @property
    def remarks(self) -> list[str]:
        """Faults to be looked into although requests are answered."""
        return remarks(self.quarantined)

    async def _check_log(self) -> None:
        while True:
            try:
                self.lag = sum([await self._behind(each) for each in self._log.streams.names])
                self._log_answered = self._clock()
            except LogUnavailable:
                pass  # `reasons` reports it by the time since the last answer
            await asyncio.sleep(CHECK_INTERVAL_S)

    def _sequence(self, stream: str) -> int:
        return self._position(stream).sequence

    async def _behind(self, stream: str) -> int:
        end = await self._log.end(stream)
        self._know(end)
        return max(0, end.sequence - self._sequence(stream))

    async def _check_database(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    self.quarantined = len(await questions.quarantine(self._pool))
                self._pool_answered = self._clock()
            except DATABASE_UNAVAILABLE:
                pass
            await asyncio.sleep(CHECK_INTERVAL_S)


def remarks(quarantined: int) -> list[str]:
    return [f"{quarantined} resources are in quarantine"] if quarantined else []
