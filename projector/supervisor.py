"""The projectors of a process: one for each stream and each read model that is read.

That is the active read model of each group, and those that were active before since this process
began, because readers do not switch all at once. A former one is followed until it is retired.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from asyncpg import Pool

from secaplane.model.reasons import reason_of
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.projector.sources import Sources, projector_of
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import active, read_models
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE, SCHEMA_DEFECTS

CHECK_EVERY_S = 0.5
CONNECTIONS_MAX = 2
"""For each read model and stream."""
log = logging.getLogger("secaplane.projector")

MakeAnnouncer = Callable[[str, str], Announcer]
"""(stream, read model) -> its announcer."""


class ProjectorSupervisor:
    """`projectors`, by read model, is read by readiness."""

    def __init__(
        self, pool: Pool, url: str, sources: Sources, announcer: MakeAnnouncer, *, region: str
    ) -> None:
        self._pool, self._url, self._announcer, self._region = pool, url, announcer, region
        self._shared = [SharedStream(sources.log, name) for name in sources.log.streams.names]
        self._sources = sources
        self._active: dict[str, str] = {}
        self._begun = defaultdict[str, asyncio.Event](asyncio.Event)
        self.projectors: dict[str, Sequence[Projector]] = {}

    def of(self, group: ProjectionGroup) -> Sequence[Projector]:
        """The projectors of a group's active read model; none before it has one."""
        return self.projectors.get(self._active.get(group.name, ""), ())

    async def started(self, group: ProjectionGroup) -> None:
        """Wait until the projectors of a group's active read model have begun to follow the log."""
        await self._begun[group.name].wait()
        for each in self.of(group):
            await each.started.wait()

    def _streams(self, group: ProjectionGroup) -> Sequence[SharedStream]:
        """Those of the log are shared by all groups; the audit stream has one."""
        if not group.of_entries:
            return self._shared
        entries = self._sources.of(group)
        return [SharedStream(entries, name) for name in entries.streams.names]

    async def run(self, group: ProjectionGroup) -> None:
        """Run the projectors of one group. The group has a read model of its layout already."""
        running = dict[str, asyncio.Task[None]]()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._check(group, running, tasks)
                except (*DATABASE_UNAVAILABLE, *SCHEMA_DEFECTS) as error:
                    log.warning("active read model unknown", extra={"reason": reason_of(error)})
                await asyncio.sleep(CHECK_EVERY_S)

    async def _check(
        self,
        group: ProjectionGroup,
        running: dict[str, asyncio.Task[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        found = await active(self._pool, group.tables)
        if found is not None and found not in running:
            streams = self._streams(group)
            pool = await tables.open_pool(
                self._url,
                schema=found,
                size=CONNECTIONS_MAX * len(streams),
                writes=True,
            )
            self.projectors[found] = [
                projector_of(group, pool, each, self._announcer(each.name, found), self._region)
                for each in streams
            ]
            running[found] = tasks.create_task(self._run(found, pool))
            log.info("projector started", extra={"read_model": found})
        if found is not None:
            self._active[group.name] = found
            self._begun[group.name].set()
        existing = await read_models(self._pool, group.tables)
        for retired in [name for name in running if name not in (found, *existing)]:
            running.pop(retired).cancel()
            log.info("read model retired", extra={"read_model": retired})

    async def _run(self, read_model: str, pool: Pool) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for each in self.projectors[read_model]:
                    tasks.create_task(each.run())
        finally:
            pool.terminate()
            del self.projectors[read_model]
