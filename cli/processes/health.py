"""What a process that answers users sees of what it stands on, looked at every second."""

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

LOOK_EVERY_S = 1.0
ANSWER_S_MAX = 2.0
SILENT_S_MAX = 3.0


class HealthProbe:
    """The log's end, and how far the rows are behind it; who is in quarantine; when each of the two
    servers last answered."""

    def __init__(
        self,
        log: Log,
        pool: Pool,
        position: Callable[[str], Position],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._pool, self._position, self._clock = log, pool, position, clock
        self._log_answered = self._pool_answered = clock()
        self.lag = self.quarantined = 0
        gauges = {
            "projection_lag": ("Positions behind the log", lambda: self.lag),
            "quarantined": ("Addresses in quarantine", lambda: self.quarantined),
        }
        for name, (says, value) in gauges.items():
            metrics.gauge(name, says).set_function(value)
        positions = metrics.labelled_gauge(
            "projection_position", "Sequence that the rows have reached in a stream", "stream"
        )
        for stream in log.streams.names:
            positions.labels(stream).set_function(partial(self._sequence, stream))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_log())
            group.create_task(self._look_at_pool())

    @property
    def reasons(self) -> list[str]:
        """Why nothing can be answered now."""
        answered = {"the log": self._log_answered, "the database": self._pool_answered}
        late = self._clock() - SILENT_S_MAX
        return [f"{who} is away" for who, when in answered.items() if when < late]

    @property
    def remarks(self) -> list[str]:
        """What somebody should look at, though requests are answered."""
        return remarks(self.quarantined)

    async def _look_at_log(self) -> None:
        while True:
            try:
                self.lag = sum([await self._behind(each) for each in self._log.streams.names])
                self._log_answered = self._clock()
            except LogUnavailable:
                pass  # whoever asks is told by how long ago the last answer was
            await asyncio.sleep(LOOK_EVERY_S)

    def _sequence(self, stream: str) -> int:
        return self._position(stream).sequence

    async def _behind(self, stream: str) -> int:
        end = await self._log.end(stream)
        return max(0, end.sequence - self._sequence(stream))

    async def _look_at_pool(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    self.quarantined = len(await questions.quarantine(self._pool))
                self._pool_answered = self._clock()
            except DATABASE_UNAVAILABLE:
                pass
            await asyncio.sleep(LOOK_EVERY_S)


def remarks(quarantined: int) -> list[str]:
    return [f"{quarantined} addresses are in quarantine"] if quarantined else []
