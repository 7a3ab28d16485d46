"""Two projectors on one read model: one works, the other stands by.

Only one of two can move a checkpoint from a position, so rows are right with any number of
projectors. The one that was too late stands by while the other announces its progress. It takes
over when the other has ended, or has been silent for RIVAL_SILENT_S. There is no lock that a
stopped process could keep; a process that goes on too late finds the checkpoint moved, and stands
by in its turn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from secaplane.readmodel.announcements import ANNOUNCE_EVERY_S, Announcer

RIVAL_SILENT_S = 4 * ANNOUNCE_EVERY_S


async def stand_by(announcer: Announcer, refresh: Callable[[], Awaitable[None]]) -> None:
    """Returns when no other projector announces the read model any more. `refresh` is called
    meanwhile, to keep the shown position current.

    Raises whatever `refresh` raises.
    """
    async with announcer.rival() as rival:
        while not rival.ended.is_set() and rival.silent_s < RIVAL_SILENT_S:
            await refresh()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCE_EVERY_S):
                    await rival.ended.wait()
