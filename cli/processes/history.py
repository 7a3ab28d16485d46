"""The pool of a process that reads the group `history`. It is no part of readiness: the history may
still be filled after an upgrade, while every other read is answered."""

import asyncio
import logging
from contextlib import suppress

from asyncpg import Pool

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import READ_MODEL_ERRORS
from secaplane.readmodel.schema.active import (
    PoolSizes,
    ReadModelPool,
    active,
    open_read_model_pool,
)
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

CHECK_INTERVAL_S = 1.0
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
        try:
            while True:
                with suppress(*READ_MODEL_ERRORS, *DATABASE_UNAVAILABLE):
                    await self._check()
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
