"""The pool of a process that reads the group `history`, and the ends that its reads include.

The pool is no part of readiness: the history may still be filled after an upgrade, while every
other read is answered.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from asyncpg import Pool

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import READ_MODEL_ERRORS
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.schema.active import (
    PoolSizes,
    ReadModelPool,
    active,
    open_read_model_pool,
)
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

CHECK_INTERVAL_S = 1.0
ASKED_S_MAX = 1.0
"""The end of the log is waited for so long."""
log = logging.getLogger("secaplane.history")


class HistoryPool:
    """Opens the pool as soon as there is a read model of this layout, and follows switches to
    another one, while `run` runs."""

    def __init__(self, config: Config) -> None:
        self._url = config.postgres.url
        self._sizes = PoolSizes(others=1, lists=config.postgres.list_connections)
        self._reading: ReadModelPool | None = None

    def pool(self) -> Pool | None:
        return None if self._reading is None else self._reading.lists

    async def run(self) -> None:
        failed = False
        try:
            while True:
                try:
                    await self._check()
                    failed = False
                except (*READ_MODEL_ERRORS, *DATABASE_UNAVAILABLE) as error:
                    if not failed:
                        log.warning("the history is not available", extra={"reason": str(error)})
                    failed = True
                await asyncio.sleep(CHECK_INTERVAL_S)
        finally:
            if self._reading is not None:
                self._reading.terminate()

    async def _check(self) -> None:
        if self._reading is None:
            self._reading = await open_read_model_pool(self._url, HISTORY, sizes=self._sizes)
            return
        newest = await active(self._reading.pool, HISTORY)
        if newest is not None and newest != self._reading.read_model:
            self._reading.switch(newest)
            log.info("switched to another read model", extra={"read_model": newest})


class KnownEnds:
    """The newest positions of all streams, which a read of the history includes."""

    def __init__(self, log: Log, progress: Progress, informed: Callable[[], bool]) -> None:
        """`informed`: True while this process knows of every write that was answered
        (`readmodel.known_writes`)."""
        self._log, self._progress, self._informed = log, progress, informed

    async def including(self, named: Sequence[Position]) -> Sequence[Position]:
        """The end of each stream. The log is asked where this process may not know of it, or knows
        of none as late as some positions; if it does not answer, nothing can be written, and what
        is known counts."""
        later = any(each > self._progress.newest(each.stream) for each in named)
        if later or not self._informed():
            with suppress(LogUnavailable, TimeoutError):
                async with asyncio.timeout(ASKED_S_MAX):
                    for stream in self._log.streams.names:
                        self._progress.know(await self._log.end(stream))
        ends = map(self._progress.newest, self._log.streams.names)
        return [each for each in ends if each > BEGINNING]
