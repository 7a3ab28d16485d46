"""Keep the active read model, and every one that was active before it since this process began:
readers turn when they see the switch, not all at once. Until somebody retires them."""

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from secaplane.eventlog.log import Log
from secaplane.projector.run import Projector
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import ReadModelPool, active
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

LOOK_EVERY_S = 0.5
log = logging.getLogger("secaplane.projector")


class ProjectorSupervisor:
    """`projectors` by the name of their read model, for onlookers."""

    def __init__(
        self,
        reading: ReadModelPool,
        url: str,
        events: Log,
        announcer: Callable[[str], Announcer],
        *,
        stream: str,
        region: str,
    ) -> None:
        self._reading, self._url, self._events = reading, url, events
        self._announcer, self._stream, self._region = announcer, stream, region
        self.projectors: dict[str, Projector] = {}
        self.started = asyncio.Event()

    @property
    def current(self) -> Projector | None:
        """Of the read model that is active."""
        return self.projectors.get(self._reading.read_model)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except DATABASE_UNAVAILABLE as error:
                    log.warning("the database is away", extra={"reason": repr(error)})
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        found = await active(self._reading.pool)
        if found is not None and found not in self.projectors:
            pool = await tables.open_pool(self._url, schema=found, size=2, writes=True)
            projector = Projector(
                pool, self._events, self._announcer(found), self._stream, self._region
            )
            self.projectors[found] = projector
            self._reading.turn(found)
            group.create_task(self._keep(found, projector))
            log.info("keeps a read model", extra={"read_model": found})
            group.create_task(self._say_when_started(projector))

    async def _say_when_started(self, projector: Projector) -> None:
        await projector.started.wait()
        self.started.set()

    async def _keep(self, read_model: str, projector: Projector) -> None:
        try:
            await projector.run()
        except* asyncpg.UndefinedTableError:
            if read_model == self._reading.read_model:
                raise
            log.info("retired", extra={"read_model": read_model})
        finally:
            projector.pool.terminate()
            del self.projectors[read_model]
