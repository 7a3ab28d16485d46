"""The slow net under the wakes: what stays unsettled in the rows is reconciled once a minute,
whatever was missed. Level-triggered controllers call it a resync."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import uniform

from asyncpg import Pool

from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.readmodel.questions import Checkpoints

RESYNC_S_MIN, RESYNC_S_MAX = 50.0, 70.0
PAGE = 256
PAUSE_S = 0.05
"""Between two pages, so that a long list takes a small share of the time."""


class UnsettledRows:
    """Pages of addresses that have been unsettled, without an event, since the pass before."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._before: Checkpoints = {}
        """The checkpoints at the pass before."""

    @staticmethod
    async def pause() -> None:
        """Processes that were started together do not ask together."""
        await asyncio.sleep(uniform(RESYNC_S_MIN, RESYNC_S_MAX))

    async def pages(self) -> AsyncIterator[Sequence[Ref]]:
        """One pass; the first one notes where the rows are.

        Raises:
            whatever the database raises; the next pass begins anew.
        """
        now = await questions.checkpoints(self._pool)
        last: Ref | None = None
        while self._before:
            page = await questions.unsettled_after(self._pool, last, limit=PAGE)
            if page:
                yield [ref for ref, at in page if at <= self._before.get(at.stream, BEGINNING)]
            if len(page) < PAGE:
                break
            last = page[-1][0]
            await asyncio.sleep(PAUSE_S)
        self._before = now
