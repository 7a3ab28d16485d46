"""Progress of the rows on a streaming replica of PostgreSQL.

The projector announces what its primary has. How far the copy is, only the checkpoint rows of the
copy say: a read by name reads its checkpoint together with the row (`readmodel.batching`), and so
does a list that must include a position (`readmodel.list_share`). Callers that wait for a position
are notified from here.
"""

import asyncio
from contextlib import suppress

from asyncpg import Pool

from secaplane.readmodel.progress import Progress
from secaplane.readmodel.schema.checkpoints import checkpoints
from secaplane.readmodel.schema.replica import PresentReplica
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE, SCHEMA_DEFECTS

AWAITED_EVERY_S, CHECK_EVERY_S = 0.02, 0.1


class StreamedProgress:
    """Reads the checkpoints into a `Progress`, while the server is a streaming replica."""

    def __init__(self, pool: Pool, progress: Progress, present: PresentReplica) -> None:
        self._pool, self._progress, self._present = pool, progress, present

    async def run(self) -> None:
        while True:
            await asyncio.sleep(AWAITED_EVERY_S if self._progress.awaited else CHECK_EVERY_S)
            if self._present.streaming:  # until it becomes the primary
                with suppress(*DATABASE_UNAVAILABLE, *SCHEMA_DEFECTS):
                    await self.read()

    async def read(self) -> None:
        for each in (await checkpoints(self._pool)).values():
            self._progress.announce(each)
