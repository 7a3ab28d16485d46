"""Health of a process: the servers it uses, checked every second, and the work behind the API.

A reason says why a process can serve nothing. What stops only reads, only writes, or only work that
follows them, is a remark with numbers.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from asyncpg import Pool

from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.append_health import AppendHealth
from secaplane.eventlog.capacity import Capacity
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.losses.integrity import LogIntegrity
from secaplane.model.position import Position
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.readmodel.known_writes import KnownWrites
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

CHECK_INTERVAL_S = 1.0
UNSETTLED_INTERVAL_S = 5.0
ANSWER_S_MAX = 2.0
SILENT_S_MAX = 3.0
REFUSED_S_MAX = 10.0
"""Appends that are refused for longer stop a process that only writes."""
UNPROVEN_S_MIN = 1.0
CAPACITY_INTERVAL_S = 5.0
STALLED_S_MAX = 5.0
"""Rows that have not moved for longer, with events to project, stand still."""
BEHIND_MAX = 1000
"""Events that rows may be behind without a remark."""
UNSETTLED_S_MAX = 60.0
"""Resources without any event for longer, while they are unsettled, are remarked."""
UNSETTLED_MAX = 1000


class Served(NamedTuple):
    """The kinds of requests that a process serves."""

    reads: bool
    writes: bool


class Outages(NamedTuple):
    """Seconds since the log's leader and the database answered last, of refused appends, and since
    the last refused event if none has been accepted since."""

    log_s: float = 0.0
    database_s: float = 0.0
    refused_s: float = 0.0
    refusal: str = ""
    unproven_s: float = 0.0


def judged(served: Served, outages: Outages) -> tuple[list[str], list[str]]:
    """Reasons, if nothing of what the process serves can be served, else remarks."""
    found = []
    if outages.log_s > SILENT_S_MAX:
        found.append(f"the log is unavailable: no answer for {outages.log_s:.0f} s")
    if outages.database_s > SILENT_S_MAX:
        found.append(f"the database is unavailable: no answer for {outages.database_s:.0f} s")
    if outages.refused_s > 0:
        found.append(f"appends are refused for {outages.refused_s:.0f} s: {outages.refusal}")
    elif outages.unproven_s > UNPROVEN_S_MIN:
        found.append(
            f"the last append was refused {outages.unproven_s:.0f} s ago, and none was accepted"
            f" since: {outages.refusal}"
        )
    no_reads = outages.database_s > SILENT_S_MAX
    no_writes = outages.refused_s >= REFUSED_S_MAX
    nothing = (no_reads or not served.reads) and (no_writes or not served.writes)
    return (found, []) if nothing else ([], found)


def judged_integrity(served: Served, log: LogIntegrity) -> tuple[list[str], list[str]]:
    """Reasons and remarks about lost events: as long as they stop all writes, a process that only
    writes can serve nothing."""
    stopped = log.reasons
    return ([], [*stopped, *log.remarks]) if served.reads else (stopped, log.remarks)


class Stall:
    """Measures for how long a position has not moved although there is more to project. Pure."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._moved_at, self._position = clock(), -1

    def measured(self, position: int, behind: int) -> None:
        if behind == 0 or position != self._position:
            self._moved_at = self._clock()
        self._position = position

    @property
    def seconds(self) -> float:
        return self._clock() - self._moved_at


class Unsettled:
    """The number of resources that stay unsettled without any event. Pure."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[tuple[Ref, int], float] = {}

    def measured(self, unsettled: Mapping[Ref, int]) -> None:
        """Address and position of each unsettled resource now."""
        now = self._clock()
        self._since = {each: self._since.get(each, now) for each in unsettled.items()}

    @property
    def overdue(self) -> int:
        late = self._clock() - UNSETTLED_S_MAX
        return sum(since < late for since in self._since.values())


class HealthProbe:
    """Measures outages, the lag of the projection, the resources in quarantine and those that stay
    unsettled. `appending`: the log of a process that appends, which asks whether it could."""

    def __init__(
        self,
        log: Log,
        pool: Pool,
        position: Callable[[str], Position],
        metrics: Metrics,
        *,
        know: Callable[[Position], object] = lambda end: None,
        writes: KnownWrites | None = None,
        appending: JetStreamLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`know` is called with each end of the log that was read, and `writes` is notified."""
        self._log, self._pool, self._position, self._clock = log, pool, position, clock
        self._know, self._writes = know, writes
        self._appending = appending
        self._appends = appending.appends if appending else None
        self._log_answered = self._pool_answered = clock()
        self.lag = self.quarantined = self.orphans = 0
        self.unsettled = Unsettled(clock)
        self._capacity = Capacity()
        self._stalls = {stream: Stall(clock) for stream in log.streams.names}
        self._measure(metrics)

    def _measure(self, metrics: Metrics) -> None:
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "projection_lag_events": ("Events in the log that are not projected", lambda: self.lag),
            "projection_stalled_seconds": (
                "Seconds in which no row was written although there were events to project",
                lambda: self.stalled_s,
            ),
            "quarantined_resources": ("Resources in quarantine", lambda: self.quarantined),
            "orphaned_resources": (
                "Resources that were closed, and that the cloud may still hold",
                lambda: self.orphans,
            ),
            "overdue_resources": (
                f"Unsettled resources without any event for {UNSETTLED_S_MAX:.0f} s",
                lambda: self.unsettled.overdue,
            ),
        }
        for name, (help_text, value) in gauges.items():
            metrics.gauge(name, help_text).set_function(value)
        positions = metrics.labelled_gauge(
            "projection_position", "Sequence of the last projected event of a stream", "stream"
        )
        for stream in self._log.streams.names:
            positions.labels(stream).set_function(partial(self._sequence, stream))
        if self._appends is not None:
            _measure_appends(metrics, self._appends)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_log())
            group.create_task(self._check_database())
            group.create_task(self._check_unsettled())
            if self._appending is not None:
                group.create_task(self._check_appends(self._appending))
                group.create_task(self._check_capacity(self._appending))

    @property
    def outages(self) -> Outages:
        now, appends = self._clock(), self._appends
        return Outages(
            now - self._log_answered,
            now - self._pool_answered,
            appends.refused_s if appends else 0.0,
            appends.reason if appends else "",
            appends.unproven_s if appends else 0.0,
        )

    @property
    def stalled_s(self) -> float:
        return max(each.seconds for each in self._stalls.values())

    @property
    def remarks(self) -> list[str]:
        """Work behind the API that needs attention although requests are answered."""
        return [
            *quarantine_remarks(self.quarantined),
            *lag_remarks(self.lag, self.stalled_s),
            *overdue_remarks(self.unsettled.overdue),
            *self._capacity.remarks,
        ]

    async def _check_log(self) -> None:
        while True:
            asking = self._writes.asking() if self._writes else None
            try:
                self.lag = sum([await self._behind(each) for each in self._log.streams.names])
                self._log_answered = self._clock()
                if self._writes and asking:
                    self._writes.answered(asking)
            except LogUnavailable:
                pass  # `outages` reports it by the time since the last answer
            await asyncio.sleep(CHECK_INTERVAL_S)

    def _sequence(self, stream: str) -> int:
        return self._position(stream).sequence

    async def _behind(self, stream: str) -> int:
        end = await self._log.end(stream)
        self._know(end)
        position = self._sequence(stream)
        behind = max(0, end.sequence - position)
        self._stalls[stream].measured(position, behind)
        return behind

    async def _check_appends(self, appending: JetStreamLog) -> None:
        while True:
            await appending.probe_appends()
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _check_capacity(self, appending: JetStreamLog) -> None:
        while True:
            with suppress(LogUnavailable):
                self._capacity = await appending.capacity()
                appending.appends.probed(appending.appends.limits, self._capacity.full_reason)
            await asyncio.sleep(CAPACITY_INTERVAL_S)

    async def _check_database(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    self.quarantined = len(await questions.quarantine(self._pool))
                    self.orphans = await questions.orphans_count(self._pool)
                self._pool_answered = self._clock()
            except DATABASE_UNAVAILABLE:
                pass
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _check_unsettled(self) -> None:
        while True:
            try:
                found = await questions.unsettled_positions(self._pool, limit=UNSETTLED_MAX)
                self.unsettled.measured(found)
            except DATABASE_UNAVAILABLE:
                pass
            await asyncio.sleep(UNSETTLED_INTERVAL_S)


def _measure_appends(metrics: Metrics, appends: AppendHealth) -> None:
    refused = metrics.gauge(
        "append_refused_seconds", "Seconds for which the log has refused appends of this process"
    )
    refused.set_function(lambda: appends.refused_s)
    metrics.counter(
        "append_refusals", "Events that the log refused or did not answer", lambda: appends.count
    )


def quarantine_remarks(quarantined: int) -> Sequence[str]:
    return [f"{quarantined} resources are in quarantine"] if quarantined else []


def lag_remarks(lag: int, stalled_s: float) -> Sequence[str]:
    """`stalled_s`: for how long no row was written although there were events to project."""
    if stalled_s > STALLED_S_MAX:
        return [f"rows stand still for {stalled_s:.0f} s, {lag} events behind the log"]
    return [f"rows are {lag} events behind the log"] if lag > BEHIND_MAX else []


def overdue_remarks(overdue: int) -> Sequence[str]:
    if not overdue:
        return []
    return [f"{overdue} resources are unsettled, and had no event for {UNSETTLED_S_MAX:.0f} s"]
